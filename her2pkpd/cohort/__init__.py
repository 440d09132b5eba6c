"""Cohorts of virtual patients and what is asked of them."""
