"""What keeps a consumer honest: its heartbeat, its watchdog, and comparing what it holds with the rows."""
