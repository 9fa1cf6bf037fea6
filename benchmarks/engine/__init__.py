"""What our work costs on the scheduler's thread, beside SGLang's own cores in the same run."""
