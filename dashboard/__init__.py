"""Looking at runs: a Streamlit dashboard that needs neither torch nor Ray."""
