-- What a durable queue stands on (R4 locks).
SELECT current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('server_version_num') AS version
