-- galera-backup: takes away what install.sql made: procedures, catalog, accounts, roles. Backups in the repositories
-- stay, and so does the plugin (UNINSTALL SONAME 'galera_backup' on each node). Once for a cluster; again does no harm.
--
-- Cancel a running backup first: it would go on, without its rows in the catalog.

DROP DATABASE IF EXISTS galera_backup;
DROP ROLE IF EXISTS galera_backup_operator;
DROP ROLE IF EXISTS galera_backup_monitor;
DROP USER IF EXISTS 'galera-backup'@'localhost';
DROP USER IF EXISTS 'galera_backup_definer'@'localhost';
