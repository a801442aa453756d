-- galera-backup: takes away what install.sql made, the catalog too. Backups in the repositories stay.
DROP DATABASE IF EXISTS galera_backup;
DROP ROLE IF EXISTS galera_backup_operator;
DROP ROLE IF EXISTS galera_backup_monitor;
DROP USER IF EXISTS 'galera-backup'@'localhost';
DROP USER IF EXISTS 'galera_backup_definer'@'localhost';
