"""The two-layer linear case study of section 3.1: closed forms, tasks and trainer."""
