-- galera-backup: the schema galera_backup with its catalog and procedures, and the accounts and roles that use them.
--
--   mariadb < install.sql
--
-- Run it once for a cluster, as an account that may create users. Running it again upgrades what is there and keeps the
-- catalog's rows and everyone's grants; a session that waits in a CALL holds it up. No statement here names a variable of
-- the plugin: one that did would succeed on some nodes of a cluster and fail on others, and Galera evicts nodes for that.
-- So the procedures reach the plugin by EXECUTE IMMEDIATE of constant texts and by information_schema.GLOBAL_STATUS.
-- They read the catalog with SELECT ... INTO alone: a query in SET, IF, RETURN or DEFAULT takes row locks, and waits for those of others.
-- They never build SQL from their input. docs/sql.md describes all of it, its section "Security" the accounts.
--
-- What is written in capitals is for callers; the rest serves it and is granted to nobody.

SET @galera_backup_mode = @@SESSION.sql_mode, @galera_backup_client = @@SESSION.character_set_client,
    @galera_backup_results = @@SESSION.character_set_results, @galera_backup_collation = @@SESSION.collation_connection;
SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION';
SET NAMES utf8mb4 COLLATE utf8mb4_bin;

CREATE DATABASE IF NOT EXISTS galera_backup CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
ALTER DATABASE galera_backup CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- ---- the catalog: written by the agents alone, read by the procedures. Times are UTC. A column that comes later is
-- added here and by an ALTER TABLE ... ADD COLUMN IF NOT EXISTS below the table.

CREATE TABLE IF NOT EXISTS galera_backup.backups (
  cluster VARCHAR(128) NOT NULL,
  id VARCHAR(64) NOT NULL,
  type VARCHAR(16) NOT NULL DEFAULT 'full',
  parent VARCHAR(64) NULL,
  chain_length INT UNSIGNED NOT NULL DEFAULT 1,
  state VARCHAR(16) NOT NULL DEFAULT 'running',
  stage VARCHAR(32) NOT NULL DEFAULT '',
  node VARCHAR(255) NOT NULL DEFAULT '',
  percent TINYINT UNSIGNED NOT NULL DEFAULT 0,
  eta_s BIGINT UNSIGNED NOT NULL DEFAULT 0,
  started_at DATETIME(6) NULL,
  finished_at DATETIME(6) NULL,
  duration_s BIGINT UNSIGNED NULL,
  bytes_total BIGINT UNSIGNED NOT NULL DEFAULT 0,
  bytes_done BIGINT UNSIGNED NOT NULL DEFAULT 0,
  data_bytes BIGINT UNSIGNED NOT NULL DEFAULT 0,
  stored_bytes BIGINT UNSIGNED NOT NULL DEFAULT 0,
  repositories TEXT NOT NULL DEFAULT '',
  position VARCHAR(128) NOT NULL DEFAULT '',
  gtid TEXT NOT NULL DEFAULT '',
  binlog_file VARCHAR(255) NOT NULL DEFAULT '',
  binlog_pos BIGINT UNSIGNED NOT NULL DEFAULT 0,
  lsn_start BIGINT UNSIGNED NOT NULL DEFAULT 0,
  lsn_end BIGINT UNSIGNED NOT NULL DEFAULT 0,
  server_version VARCHAR(128) NOT NULL DEFAULT '',
  encrypted TINYINT NOT NULL DEFAULT 0,
  key_ids VARCHAR(1024) NOT NULL DEFAULT '',
  verified VARCHAR(8) NOT NULL DEFAULT 'none',
  verified_at DATETIME(6) NULL,
  hold_until DATETIME(6) NULL,
  keep_reason VARCHAR(255) NOT NULL DEFAULT '',
  expires_at DATETIME(6) NULL,
  comment TEXT NOT NULL DEFAULT '',
  user VARCHAR(255) NOT NULL DEFAULT '',
  ddl_blocked_ms BIGINT UNSIGNED NULL,
  commit_blocked_ms BIGINT UNSIGNED NULL,
  blocked_ms BIGINT UNSIGNED NULL,
  recv_queue_max BIGINT UNSIGNED NULL,
  flow_control_sent BIGINT UNSIGNED NULL,
  desync_s BIGINT UNSIGNED NULL,
  resync VARCHAR(16) NOT NULL DEFAULT '',
  warnings TEXT NOT NULL DEFAULT '',
  error_code INT UNSIGNED NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  hint TEXT NOT NULL DEFAULT '',
  as_of DATETIME(6) NOT NULL,
  PRIMARY KEY (cluster, id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT='backups and failed runs; docs/sql.md';

CREATE TABLE IF NOT EXISTS galera_backup.backup_log (
  cluster VARCHAR(128) NOT NULL,
  id VARCHAR(64) NOT NULL,
  seq INT UNSIGNED NOT NULL,
  at DATETIME(6) NOT NULL,
  stage VARCHAR(32) NOT NULL DEFAULT '',
  level VARCHAR(8) NOT NULL DEFAULT 'note',
  message TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (cluster, id, seq)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT='what happened in a backup; docs/sql.md';

-- What each node could give a joiner by IST: written by its agent, sparingly (agent/mariadb/nodes.h).
CREATE TABLE IF NOT EXISTS galera_backup.nodes (
  cluster VARCHAR(128) NOT NULL,
  node VARCHAR(160) NOT NULL,
  address VARCHAR(255) NOT NULL DEFAULT '',
  state_uuid CHAR(36) NOT NULL DEFAULT '',
  conf_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  cached_downto BIGINT UNSIGNED NOT NULL DEFAULT 0,
  last_committed BIGINT UNSIGNED NOT NULL DEFAULT 0,
  gcache_bytes BIGINT UNSIGNED NOT NULL DEFAULT 0,
  written_bytes_s BIGINT UNSIGNED NOT NULL DEFAULT 0,
  writeset_bytes BIGINT UNSIGNED NOT NULL DEFAULT 0,
  seen_at DATETIME(6) NOT NULL,
  PRIMARY KEY (cluster, node)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT='gcache of each node; docs/sql.md';

-- ---- accounts

-- As whom the procedures run. Nobody can log in as it. SUPER is what setting a plugin's variable takes.
CREATE USER IF NOT EXISTS 'galera_backup_definer'@'localhost' IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;
ALTER USER 'galera_backup_definer'@'localhost' ACCOUNT LOCK;
GRANT SUPER ON *.* TO 'galera_backup_definer'@'localhost';
GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON galera_backup.* TO 'galera_backup_definer'@'localhost';

-- The agent: whoever is galera-backup in the operating system.
CREATE USER IF NOT EXISTS 'galera-backup'@'localhost' IDENTIFIED VIA unix_socket;
GRANT SELECT, INSERT, UPDATE, DELETE ON galera_backup.backups TO 'galera-backup'@'localhost';
GRANT SELECT, INSERT, UPDATE, DELETE ON galera_backup.backup_log TO 'galera-backup'@'localhost';
GRANT SELECT, INSERT, UPDATE, DELETE ON galera_backup.nodes TO 'galera-backup'@'localhost';
GRANT EXECUTE ON galera_backup.* TO 'galera-backup'@'localhost';

CREATE ROLE IF NOT EXISTS galera_backup_operator;
CREATE ROLE IF NOT EXISTS galera_backup_monitor;

DELIMITER //

-- ---- errors

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.fail(number INT, what TEXT, remedy TEXT)
  NO SQL SQL SECURITY DEFINER COMMENT 'raises GBnnnn'
BEGIN
  DECLARE sql_number INT DEFAULT 20000 + number;
  DECLARE line TEXT DEFAULT CONCAT('GB', LPAD(number, 4, '0'), ' ', galera_backup.error_name(number), ': ', what, '; do: ', remedy);
  -- The server keeps 511 bytes of a message and would cut a character in two.
  SET line = LEFT(line, 511);
  WHILE LENGTH(line) > 511 DO
    SET line = LEFT(line, CHAR_LENGTH(line) - 1);
  END WHILE;
  SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = sql_number, MESSAGE_TEXT = line;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.error_name(number INT) RETURNS VARCHAR(32)
  DETERMINISTIC NO SQL SQL SECURITY DEFINER COMMENT 'the word after GBnnnn, as in common/errors.def'
BEGIN
  RETURN CASE number
    WHEN 1001 THEN 'usage'
    WHEN 1002 THEN 'unknown_option'
    WHEN 1003 THEN 'bad_value'
    WHEN 1004 THEN 'bad_config'
    WHEN 1005 THEN 'not_supported'
    WHEN 1006 THEN 'in_transaction'
    WHEN 2001 THEN 'plugin_missing'
    WHEN 2002 THEN 'disabled'
    WHEN 2003 THEN 'busy'
    WHEN 2004 THEN 'not_running'
    WHEN 2005 THEN 'agent_absent'
    WHEN 2006 THEN 'agent_refused'
    WHEN 2007 THEN 'agent_lost'
    WHEN 2008 THEN 'protocol'
    WHEN 2009 THEN 'wrong_node'
    WHEN 2010 THEN 'node_not_fit'
    WHEN 2011 THEN 'unsupported_engine'
    WHEN 2012 THEN 'unsupported_server'
    WHEN 2013 THEN 'unsupported_config'
    WHEN 2101 THEN 'cancelled'
    WHEN 2102 THEN 'server_shutdown'
    WHEN 2103 THEN 'max_duration'
    WHEN 2104 THEN 'sql_failed'
    WHEN 2105 THEN 'stage_lost'
    WHEN 2106 THEN 'not_paused'
    WHEN 2107 THEN 'no_memory'
    WHEN 2108 THEN 'io_error'
    WHEN 2110 THEN 'block_timeout'
    WHEN 2111 THEN 'lock_wait'
    WHEN 2112 THEN 'ddl_storm'
    WHEN 2201 THEN 'corrupt_page'
    WHEN 2202 THEN 'file_vanished'
    WHEN 2203 THEN 'redo_corrupt'
    WHEN 2204 THEN 'redo_overrun'
    WHEN 2205 THEN 'redo_resized'
    WHEN 2401 THEN 'long_name'
    WHEN 2402 THEN 'engine_not_loaded'
    WHEN 2403 THEN 'file_left_out'
    WHEN 2404 THEN 'queue_not_empty'
    WHEN 2405 THEN 'cancel_too_late'
    WHEN 3001 THEN 'repository_unreachable'
    WHEN 3002 THEN 'no_space'
    WHEN 3003 THEN 'repository_unknown'
    WHEN 3004 THEN 'wrong_cluster'
    WHEN 3005 THEN 'not_found'
    WHEN 3006 THEN 'corrupt_backup'
    WHEN 3007 THEN 'format_newer'
    WHEN 3008 THEN 'store_failed'
    WHEN 3009 THEN 'redo_memory'
    WHEN 3010 THEN 'repository_busy'
    WHEN 3011 THEN 'store_denied'
    WHEN 3012 THEN 'store_untrusted'
    WHEN 3013 THEN 'store_unreachable'
    WHEN 3014 THEN 'bucket_missing'
    WHEN 3015 THEN 'key_missing'
    WHEN 3016 THEN 'bad_key'
    WHEN 3017 THEN 'untrusted_backup'
    WHEN 3021 THEN 'expire_refused'
    WHEN 3022 THEN 'not_everywhere'
    WHEN 4001 THEN 'target_not_empty'
    WHEN 4002 THEN 'target_in_use'
    WHEN 4003 THEN 'target_no_space'
    WHEN 4004 THEN 'target_failed'
    WHEN 4005 THEN 'target_unfinished'
    WHEN 4020 THEN 'no_server'
    WHEN 4021 THEN 'recovery_failed'
    WHEN 4022 THEN 'position_differs'
    WHEN 4023 THEN 'table_damaged'
    WHEN 4024 THEN 'no_clone'
    WHEN 4201 THEN 'source_not_datadir'
    WHEN 4202 THEN 'source_in_use'
    WHEN 4203 THEN 'source_failed'
    WHEN 4204 THEN 'source_unreadable'
    WHEN 5001 THEN 'server_unreachable'
    WHEN 5002 THEN 'connection_lost'
    WHEN 5003 THEN 'access_denied'
    WHEN 9001 THEN 'internal'
    ELSE 'internal' END;
END//

-- ---- this node

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.galera_variable(name VARCHAR(64)) RETURNS VARCHAR(255)
  READS SQL DATA SQL SECURITY DEFINER COMMENT 'a wsrep variable; empty on a server without Galera'
BEGIN
  RETURN IFNULL((SELECT MAX(v.VARIABLE_VALUE) FROM information_schema.GLOBAL_VARIABLES v WHERE v.VARIABLE_NAME = name AND EXISTS
    (SELECT 1 FROM information_schema.GLOBAL_VARIABLES o WHERE o.VARIABLE_NAME = 'WSREP_ON' AND o.VARIABLE_VALUE = 'ON')), '');
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.node_name() RETURNS VARCHAR(255)
  READS SQL DATA SQL SECURITY DEFINER COMMENT 'wsrep_node_name, else the host name'
BEGIN
  DECLARE name VARCHAR(255) DEFAULT galera_backup.galera_variable('WSREP_NODE_NAME');
  RETURN IF(name = '', @@GLOBAL.hostname, name);
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.cluster_name() RETURNS VARCHAR(255)
  READS SQL DATA SQL SECURITY DEFINER COMMENT 'wsrep_cluster_name, empty on a standalone server'
BEGIN
  RETURN galera_backup.galera_variable('WSREP_CLUSTER_NAME');
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.cluster_uuid() RETURNS VARCHAR(64)
  READS SQL DATA SQL SECURITY DEFINER COMMENT 'Galera''s name for the history of this cluster, empty on a standalone server'
BEGIN
  RETURN IF(galera_backup.cluster_name() = '', '', IFNULL((SELECT MAX(s.VARIABLE_VALUE) FROM information_schema.GLOBAL_STATUS s
    WHERE s.VARIABLE_NAME = 'WSREP_CLUSTER_STATE_UUID'), ''));
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.plugin_status() RETURNS LONGTEXT
  READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'the status variables of the plugin, of one moment, as a JSON object; NULL where it is not loaded'
BEGIN
  RETURN (SELECT JSON_OBJECTAGG(LOWER(SUBSTRING(s.VARIABLE_NAME, 15)), s.VARIABLE_VALUE)
    FROM information_schema.GLOBAL_STATUS s WHERE s.VARIABLE_NAME LIKE 'GALERA|_BACKUP|_%' ESCAPE '|');
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.running_elsewhere(wanted VARCHAR(64)) RETURNS TEXT
  READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'what runs on another node of this cluster, as a JSON object {id, node, text}; wanted: its id or NULL'
BEGIN
  DECLARE here VARCHAR(255) DEFAULT galera_backup.node_name();
  DECLARE this_cluster VARCHAR(255) DEFAULT galera_backup.cluster_name();
  DECLARE answer TEXT DEFAULT NULL;
  IF this_cluster = '' THEN
    RETURN NULL;
  END IF;
  -- An agent may be configured with another name for the cluster: then this node's own rows tell it.
  SELECT (SELECT JSON_OBJECT('id', b.id, 'node', b.node, 'text', CONCAT(b.id, ' is running on ', b.node,
      IF(b.stage = '', '', CONCAT(' (', b.stage, ', ', b.percent, ' %', IF(b.eta_s > 0, CONCAT(', ETA ', galera_backup.duration_text(b.eta_s)), ''), ')'))))
    FROM galera_backup.backups b
    WHERE b.state = 'running' AND b.node <> here AND (wanted IS NULL OR b.id = wanted)
      AND b.as_of BETWEEN UTC_TIMESTAMP(6) - INTERVAL 30 SECOND AND UTC_TIMESTAMP(6) + INTERVAL 30 SECOND
      AND (b.cluster = this_cluster OR b.cluster IN (SELECT o.cluster FROM galera_backup.backups o WHERE o.node = here))
    ORDER BY b.id DESC LIMIT 1) INTO answer;
  RETURN answer;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.duration_text(seconds BIGINT UNSIGNED) RETURNS VARCHAR(32)
  DETERMINISTIC NO SQL SQL SECURITY DEFINER COMMENT '45s, 6m, 2h05m: for messages'
BEGIN
  RETURN CASE
    WHEN seconds < 100 THEN CONCAT(seconds, 's')
    WHEN seconds < 6000 THEN CONCAT(ROUND(seconds / 60), 'm')
    ELSE CONCAT(seconds DIV 3600, 'h', LPAD(seconds MOD 3600 DIV 60, 2, '0'), 'm') END;
END//

-- ---- IST: which positions can still be joined. The same rule is in agent/mariadb/ist.c, which says where it comes from.

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.gcache_bytes() RETURNS BIGINT UNSIGNED
  READS SQL DATA SQL SECURITY DEFINER COMMENT 'gcache.size of this node; 0 without Galera'
BEGIN
  DECLARE given TEXT DEFAULT (SELECT MAX(v.VARIABLE_VALUE) FROM information_schema.GLOBAL_VARIABLES v
    WHERE v.VARIABLE_NAME = 'WSREP_PROVIDER_OPTIONS');
  DECLARE size VARCHAR(64) DEFAULT REGEXP_SUBSTR(IFNULL(given, ''), '(?<=gcache\\.size = )[0-9]+[KMGT]?');
  RETURN IF(size = '', 0, REGEXP_SUBSTR(size, '^[0-9]+') * CASE RIGHT(size, 1) WHEN 'K' THEN 1024 WHEN 'M' THEN 1048576
    WHEN 'G' THEN 1073741824 WHEN 'T' THEN 1099511627776 ELSE 1 END);
END//

-- The nodes of this component that are known to be donors, with this node's own figures of now. Empty on a server without
-- Galera. 40: what gcache adds to a write-set. A row of a node that has left has another conf_id. Of another node's gcache the
-- write-sets count as gone that those since its row must have pushed out.
CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' SQL SECURITY DEFINER VIEW galera_backup.donors AS
  WITH live AS (SELECT MAX(IF(s.VARIABLE_NAME = 'WSREP_CLUSTER_STATUS', s.VARIABLE_VALUE, NULL)) AS status,
      MAX(IF(s.VARIABLE_NAME = 'WSREP_CLUSTER_STATE_UUID', s.VARIABLE_VALUE, NULL)) AS uuid,
      MAX(IF(s.VARIABLE_NAME = 'WSREP_CLUSTER_CONF_ID', CAST(s.VARIABLE_VALUE AS UNSIGNED), NULL)) AS conf_id,
      MAX(IF(s.VARIABLE_NAME = 'WSREP_LOCAL_CACHED_DOWNTO', CAST(s.VARIABLE_VALUE AS UNSIGNED), NULL)) AS downto,
      MAX(IF(s.VARIABLE_NAME = 'WSREP_LAST_COMMITTED', CAST(s.VARIABLE_VALUE AS UNSIGNED), NULL)) AS last_committed,
      SUM(IF(s.VARIABLE_NAME IN ('WSREP_REPLICATED_BYTES', 'WSREP_RECEIVED_BYTES'), CAST(s.VARIABLE_VALUE AS UNSIGNED), 0)) AS bytes,
      SUM(IF(s.VARIABLE_NAME IN ('WSREP_REPLICATED', 'WSREP_RECEIVED'), CAST(s.VARIABLE_VALUE AS UNSIGNED), 0)) AS sets,
      MAX(IF(s.VARIABLE_NAME = 'UPTIME', CAST(s.VARIABLE_VALUE AS UNSIGNED), NULL)) AS uptime
    FROM information_schema.GLOBAL_STATUS s WHERE s.VARIABLE_NAME IN ('WSREP_CLUSTER_STATUS', 'WSREP_CLUSTER_STATE_UUID',
      'WSREP_CLUSTER_CONF_ID', 'WSREP_LOCAL_CACHED_DOWNTO', 'WSREP_LAST_COMMITTED', 'WSREP_REPLICATED_BYTES', 'WSREP_RECEIVED_BYTES',
      'WSREP_REPLICATED', 'WSREP_RECEIVED', 'UPTIME'))
  SELECT galera_backup.node_name() AS node, IFNULL(m.address, '') AS address, l.uuid AS state_uuid, l.downto AS cached_downto,
      l.last_committed, galera_backup.gcache_bytes() AS gcache_bytes,
      IFNULL(m.written_bytes_s, FLOOR((l.bytes + l.sets * 40) / GREATEST(l.uptime, 1))) AS written_bytes_s,
      IF(l.sets > 0, FLOOR(l.bytes / l.sets) + 40, 0) AS writeset_bytes, UTC_TIMESTAMP(6) AS seen_at
    FROM live l LEFT JOIN galera_backup.nodes m ON m.node = galera_backup.node_name() AND m.state_uuid = l.uuid
    WHERE l.status = 'Primary' AND l.downto BETWEEN 1 AND 9223372036854775807 AND galera_backup.cluster_name() <> ''
  UNION
  SELECT n.node, n.address, n.state_uuid, n.cached_downto + LEAST(GREATEST(CAST(l.last_committed AS SIGNED) - CAST(n.last_committed AS SIGNED), 0),
      GREATEST(CAST(l.last_committed AS SIGNED) - CAST(n.cached_downto AS SIGNED) - CAST(n.gcache_bytes DIV (l.bytes DIV GREATEST(l.sets, 1) + 40) AS SIGNED), 0)),
      n.last_committed, n.gcache_bytes, n.written_bytes_s, n.writeset_bytes, n.seen_at
    FROM live l JOIN galera_backup.nodes n ON n.state_uuid = l.uuid AND n.conf_id = l.conf_id AND n.node <> galera_backup.node_name()
    WHERE l.status = 'Primary' AND n.seen_at > UTC_TIMESTAMP(6) - INTERVAL 30 MINUTE AND galera_backup.cluster_name() <> ''//
GRANT SELECT ON galera_backup.donors TO 'galera-backup'@'localhost'//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.ist_lowest(lowest BIGINT, newest BIGINT) RETURNS BIGINT
  DETERMINISTIC NO SQL SQL SECURITY DEFINER COMMENT 'the lowest seqno that can be joined by IST, of the oldest and the newest write-set'
BEGIN
  RETURN lowest + LEAST(GREATEST(newest - lowest, 0) DIV 128, 1048576);
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.ist_check() RETURNS LONGTEXT
  READS SQL DATA SQL SECURITY DEFINER COMMENT 'the row ist_window of BACKUP_CHECK as a JSON array; NULL without Galera'
BEGIN
  DECLARE known, members INT;
  DECLARE uuid, newest_id, names TEXT;
  DECLARE lowest, last, rate, writeset, gcache, seqno BIGINT;
  DECLARE need, day_need, age, every, holds BIGINT DEFAULT NULL;
  DECLARE newest_at, before_at DATETIME(6);
  DECLARE detail, window_text, remedy TEXT;
  IF galera_backup.cluster_name() = '' THEN
    RETURN NULL;
  END IF;
  SELECT COUNT(*), MAX(d.state_uuid), MIN(d.cached_downto), MAX(d.last_committed), MAX(d.written_bytes_s), MAX(d.writeset_bytes),
      MIN(d.gcache_bytes), GROUP_CONCAT(d.node ORDER BY d.node SEPARATOR ', ')
    INTO known, uuid, lowest, last, rate, writeset, gcache, names FROM galera_backup.donors d;
  IF known = 0 THEN
    RETURN JSON_ARRAY('ist_window', 'WARN', 'this node is not in the Primary component, or its gcache is empty: no node could join by IST',
      'wait until the node is Synced');
  END IF;
  SET members = (SELECT MAX(s.VARIABLE_VALUE) FROM information_schema.GLOBAL_STATUS s WHERE s.VARIABLE_NAME = 'WSREP_CLUSTER_SIZE');
  SET lowest = galera_backup.ist_lowest(lowest, last), holds = IF(rate > 0, gcache DIV rate, NULL);
  SET window_text = CONCAT('the gcaches of ', LEFT(names, 200), ' reach back ', last - lowest, ' write-sets; gcache.size ', gcache DIV 1048576, ' MB holds ',
    IF(holds IS NULL OR holds > 8640000, 'more than 100 days', CONCAT('about ', galera_backup.duration_text(holds))), ' of writes at ', rate DIV 1000, ' kB/s');
  IF known < members THEN
    SET window_text = CONCAT(window_text, '; of ', members - known, ' nodes nothing is known, as no agent of theirs has told');
  END IF;
  SELECT b.id, SUBSTRING_INDEX(b.position, ':', -1), b.finished_at INTO newest_id, seqno, newest_at FROM galera_backup.backups b
    WHERE b.state = 'succeeded' AND SUBSTRING_INDEX(b.position, ':', 1) = uuid ORDER BY b.id DESC LIMIT 1;
  IF newest_id IS NULL THEN
    RETURN JSON_ARRAY('ist_window', 'OK', CONCAT(window_text, '; no backup of this history yet'), '');
  END IF;
  SELECT MAX(b.finished_at) INTO before_at FROM galera_backup.backups b
    WHERE b.state = 'succeeded' AND b.id < newest_id AND SUBSTRING_INDEX(b.position, ':', 1) = uuid;
  SET age = GREATEST(TIMESTAMPDIFF(SECOND, newest_at, UTC_TIMESTAMP(6)), 0),
    every = GREATEST(age, IFNULL(TIMESTAMPDIFF(SECOND, before_at, newest_at), 0));
  -- A quarter to spare, and the safety gap besides.
  SET need = CEIL(GREATEST(last - seqno, 0) * writeset * 1.25 / 1048576) + 1,
    day_need = CEIL(rate * 86400 * 1.25 / 1048576) + 1;
  SET detail = CONCAT('the newest backup, ', newest_id, ', is ', GREATEST(last - seqno, 0), ' write-sets and ', galera_backup.duration_text(age),
    ' behind; ', window_text);
  SET remedy = CONCAT('set gcache.size in wsrep_provider_options to at least ', need, 'M for the newest backup, ', day_need,
    'M for 24 h of writes, or back up more often');
  IF seqno < lowest THEN
    RETURN JSON_ARRAY('ist_window', 'WARN', CONCAT('a node restored from it would be filled by SST: ', detail), remedy);
  ELSEIF holds < every THEN
    RETURN JSON_ARRAY('ist_window', 'WARN', CONCAT('backups are ', galera_backup.duration_text(every), ' apart, and the gcaches do not reach so far back: ', detail), remedy);
  ELSEIF known < members THEN
    RETURN JSON_ARRAY('ist_window', 'WARN', detail, 'run the agent beside every node');
  END IF;
  RETURN JSON_ARRAY('ist_window', 'OK', CONCAT(detail, '; 24 h of writes need ', day_need, ' MB'), '');
END//

-- ---- options

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.options_object(options LONGTEXT) RETURNS LONGTEXT
  NO SQL SQL SECURITY DEFINER COMMENT 'options as a JSON object; NULL and the empty text are {}'
BEGIN
  IF options IS NULL OR TRIM(options) = '' THEN
    RETURN '{}';
  END IF;
  IF NOT JSON_VALID(options) THEN
    CALL galera_backup.fail(1003, CONCAT('"', LEFT(options, 80), '" is not valid JSON'),
      'give a JSON object like {"comment": "before the upgrade"}, or NULL');
  ELSEIF JSON_TYPE(options) <> 'OBJECT' THEN
    CALL galera_backup.fail(1003, CONCAT('"', LEFT(options, 80), '" is valid JSON, but not an object'),
      'give a JSON object like {"comment": "before the upgrade"}, or NULL');
  END IF;
  RETURN options;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.edit_distance(a VARCHAR(32), b VARCHAR(32)) RETURNS INT
  DETERMINISTIC NO SQL SQL SECURITY DEFINER COMMENT 'edits (Levenshtein) from one short word to another'
BEGIN
  DECLARE m INT DEFAULT CHAR_LENGTH(b);
  DECLARE above, line VARBINARY(40) DEFAULT ''; -- a row of the table, a number in each byte
  DECLARE i, j, best INT DEFAULT 0;
  WHILE j <= m DO
    SET above = CONCAT(above, CHAR(j)), j = j + 1;
  END WHILE;
  SET i = 1;
  WHILE i <= CHAR_LENGTH(a) DO
    SET line = CHAR(i), best = i, j = 1;
    WHILE j <= m DO
      SET best = LEAST(best + 1, ORD(SUBSTRING(above, j + 1, 1)) + 1,
        ORD(SUBSTRING(above, j, 1)) + (SUBSTRING(a, i, 1) <> SUBSTRING(b, j, 1)));
      SET line = CONCAT(line, CHAR(best)), j = j + 1;
    END WHILE;
    SET above = line, i = i + 1;
  END WHILE;
  RETURN ORD(SUBSTRING(above, m + 1, 1));
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.nearest(word TEXT, known TEXT) RETURNS VARCHAR(64)
  DETERMINISTIC NO SQL SQL SECURITY DEFINER COMMENT 'the word of a JSON array that is at most three edits from word, or NULL'
BEGIN
  DECLARE i, distance INT DEFAULT 0;
  DECLARE least_distance INT DEFAULT 4;
  DECLARE one, found VARCHAR(64) DEFAULT NULL;
  WHILE i < JSON_LENGTH(known) DO
    SET one = JSON_VALUE(known, CONCAT('$[', i, ']')), distance = galera_backup.edit_distance(LEFT(LOWER(word), 32), one), i = i + 1;
    IF distance < least_distance THEN
      SET least_distance = distance, found = one;
    END IF;
  END WHILE;
  RETURN found;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.words_text(words TEXT) RETURNS TEXT
  DETERMINISTIC NO SQL SQL SECURITY DEFINER COMMENT 'the words of a compact JSON array, for messages'
BEGIN
  RETURN REPLACE(TRIM(BOTH '"' FROM TRIM(TRAILING ']' FROM TRIM(LEADING '[' FROM words))), '","', ', ');
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.check_keys(options LONGTEXT, known TEXT, what VARCHAR(64))
  NO SQL SQL SECURITY DEFINER COMMENT 'refuses options with a key that is not in the JSON array known'
BEGIN
  DECLARE names LONGTEXT DEFAULT JSON_KEYS(options);
  DECLARE i INT DEFAULT 0;
  DECLARE one TEXT;
  DECLARE meant VARCHAR(64);
  WHILE i < JSON_LENGTH(names) DO
    SET one = JSON_VALUE(names, CONCAT('$[', i, ']')), i = i + 1;
    IF NOT JSON_CONTAINS(known, JSON_QUOTE(one)) THEN
      SET meant = galera_backup.nearest(one, known);
      CALL galera_backup.fail(1002, CONCAT(what, ' has no option "', LEFT(one, 64), '"'),
        IF(meant IS NULL, CONCAT('there is ', galera_backup.words_text(known)), CONCAT('perhaps "', meant, '" was meant')));
    END IF;
  END WHILE;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.bad_value(options LONGTEXT, name VARCHAR(64), wanted TEXT)
  NO SQL SQL SECURITY DEFINER COMMENT 'refuses the value of an option'
BEGIN
  CALL galera_backup.fail(1003, CONCAT(name, ' cannot be ', LEFT(JSON_COMPACT(JSON_EXTRACT(options, CONCAT('$.', name))), 80)), wanted);
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.option_text(options LONGTEXT, name VARCHAR(64)) RETURNS TEXT
  NO SQL SQL SECURITY DEFINER COMMENT 'an option that is a text; NULL: not given'
BEGIN
  DECLARE value LONGTEXT DEFAULT JSON_EXTRACT(options, CONCAT('$.', name));
  IF value IS NULL OR JSON_TYPE(value) = 'NULL' THEN
    RETURN NULL;
  END IF;
  IF JSON_TYPE(value) <> 'STRING' OR CHAR_LENGTH(value) > 1000 THEN
    CALL galera_backup.bad_value(options, name, 'give a text');
  END IF;
  RETURN JSON_UNQUOTE(value);
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.option_flag(options LONGTEXT, name VARCHAR(64)) RETURNS BOOLEAN
  NO SQL SQL SECURITY DEFINER COMMENT 'an option that is true or false; not given: false'
BEGIN
  DECLARE value LONGTEXT DEFAULT JSON_EXTRACT(options, CONCAT('$.', name));
  IF value IS NULL OR JSON_TYPE(value) = 'NULL' THEN
    RETURN FALSE;
  END IF;
  IF JSON_TYPE(value) <> 'BOOLEAN' THEN
    CALL galera_backup.bad_value(options, name, 'give true or false');
  END IF;
  RETURN value = 'true';
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.option_word(options LONGTEXT, name VARCHAR(64), words TEXT) RETURNS VARCHAR(64)
  NO SQL SQL SECURITY DEFINER COMMENT 'an option that is one of the words of a JSON array; NULL: not given'
BEGIN
  DECLARE value TEXT DEFAULT galera_backup.option_text(options, name);
  IF value IS NOT NULL AND NOT JSON_CONTAINS(words, JSON_QUOTE(value)) THEN
    CALL galera_backup.bad_value(options, name, CONCAT('give one of ', galera_backup.words_text(words)));
  END IF;
  RETURN value;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.option_count(options LONGTEXT, name VARCHAR(64), usual INT, most INT) RETURNS INT
  NO SQL SQL SECURITY DEFINER COMMENT 'an option that is a number from 1 to most; not given: usual'
BEGIN
  DECLARE value LONGTEXT DEFAULT JSON_EXTRACT(options, CONCAT('$.', name));
  IF value IS NULL OR JSON_TYPE(value) = 'NULL' THEN
    RETURN usual;
  END IF;
  SET value = JSON_UNQUOTE(value);
  IF value NOT REGEXP '^[0-9]{1,9}$' OR CAST(value AS UNSIGNED) NOT BETWEEN 1 AND most THEN
    CALL galera_backup.bad_value(options, name, CONCAT('give a number from 1 to ', most));
  END IF;
  RETURN CAST(value AS UNSIGNED);
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.option_time(options LONGTEXT, name VARCHAR(64)) RETURNS DATETIME(6)
  NO SQL SQL SECURITY DEFINER COMMENT 'an option that is a time in UTC, or a duration ago; NULL: not given'
BEGIN
  DECLARE value TEXT DEFAULT galera_backup.option_text(options, name);
  DECLARE moment DATETIME(6) DEFAULT NULL;
  IF value IS NULL THEN
    RETURN NULL;
  END IF;
  IF value REGEXP '^[0-9]{1,6}[smhd]$' THEN
    RETURN UTC_TIMESTAMP(6) - INTERVAL LEFT(value, CHAR_LENGTH(value) - 1) *
      CASE RIGHT(value, 1) WHEN 's' THEN 1 WHEN 'm' THEN 60 WHEN 'h' THEN 3600 ELSE 86400 END SECOND;
  END IF;
  IF value REGEXP '^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?Z?)?$' THEN
    BEGIN
      DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SET moment = NULL;
      SET moment = CAST(REPLACE(REPLACE(value, 'T', ' '), 'Z', '') AS DATETIME(6));
    END;
  END IF;
  IF moment IS NULL THEN
    CALL galera_backup.bad_value(options, name, 'give a time in UTC like "2026-11-21 02:00:00", or how long ago like "12h" (units s, m, h, d)');
  END IF;
  RETURN moment;
END//

-- ---- the way to the plugin

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.command(IN op VARCHAR(16), IN backup_id VARCHAR(64),
    IN options LONGTEXT, OUT answer LONGTEXT)
  MODIFIES SQL DATA SQL SECURITY DEFINER
  COMMENT 'sets the command variable; answer: the warnings that the plugin raised, as a JSON array of texts'
BEGIN
  DECLARE message LONGTEXT;
  DECLARE number, count, i INT DEFAULT 0;
  DECLARE line TEXT DEFAULT '';
  DECLARE EXIT HANDLER FOR 1193
    CALL galera_backup.fail(2001, CONCAT('plugin galera_backup is not loaded on ', galera_backup.node_name()),
      'INSTALL SONAME ''galera_backup'' there or install the package');
  DECLARE EXIT HANDLER FOR 1227
    CALL galera_backup.fail(5003, 'galera_backup_definer@localhost, as whom the procedures run, has lost the privilege SUPER', 'run install.sql again');
  DECLARE EXIT HANDLER FOR SQLEXCEPTION
  BEGIN
    GET DIAGNOSTICS CONDITION 1 number = MYSQL_ERRNO, line = MESSAGE_TEXT;
    IF line LIKE 'GB____ %' THEN
      SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = number, MESSAGE_TEXT = line;
    END IF;
    RESIGNAL;
  END;
  SET message = JSON_OBJECT('op', op, 'id', backup_id, 'user', USER(), 'node', galera_backup.node_name(),
    'cluster', galera_backup.cluster_name(), 'cluster_uuid', galera_backup.cluster_uuid(), 'options', JSON_COMPACT(options), 'keys', JSON_COMPACT(JSON_KEYS(options)));
  SET answer = '[]';
  -- The session may have set max_error_count to 0: then no warning would arrive.
  EXECUTE IMMEDIATE 'SET STATEMENT max_error_count = 64 FOR SET GLOBAL galera_backup_command = ?' USING message;
  GET DIAGNOSTICS count = NUMBER;
  WHILE i < count DO
    SET i = i + 1;
    GET DIAGNOSTICS CONDITION i line = MESSAGE_TEXT;
    SET answer = JSON_ARRAY_APPEND(answer, '$', line);
  END WHILE;
END//

-- ---- BACKUP_STATUS

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.catalog_status(wanted VARCHAR(64)) RETURNS LONGTEXT
  READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'a row of the catalog under the names of plugin_status(); wanted NULL: the newest of this node. NULL: there is none'
BEGIN
  DECLARE here VARCHAR(255) DEFAULT galera_backup.node_name();
  DECLARE answer LONGTEXT DEFAULT NULL;
  SELECT (SELECT JSON_OBJECT('id', b.id, 'cluster', b.cluster, 'node', b.node, 'type', b.type, 'parent', b.parent, 'state', b.state,
      'stage', b.stage, 'percent', b.percent, 'eta_s', b.eta_s, 'started_at', b.started_at,
      'elapsed_s', IFNULL(b.duration_s, TIMESTAMPDIFF(SECOND, b.started_at, b.as_of)), 'bytes_total', b.bytes_total,
      'bytes_done', b.bytes_done, 'bytes_stored', b.stored_bytes, 'redo_bytes', IF(b.lsn_end > b.lsn_start, b.lsn_end - b.lsn_start, NULL),
      'desync_s', b.desync_s, 'recv_queue_max', b.recv_queue_max, 'flow_control_sent', b.flow_control_sent,
      'ddl_blocked_ms', b.ddl_blocked_ms, 'commit_blocked_ms', b.commit_blocked_ms, 'blocked_ms', b.blocked_ms,
      'position', b.position, 'gtid', b.gtid, 'binlog_file', b.binlog_file, 'binlog_pos', b.binlog_pos, 'lsn_start', b.lsn_start,
      'lsn_end', b.lsn_end, 'repositories', b.repositories, 'resync', b.resync, 'warnings', b.warnings,
      'error_code', b.error_code, 'error', b.error, 'hint', b.hint, 'as_of', b.as_of)
    FROM galera_backup.backups b WHERE b.id = wanted OR (wanted IS NULL AND b.node = here) ORDER BY b.id DESC LIMIT 1) INTO answer;
  RETURN answer;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_STATUS(backup_id VARCHAR(64))
  READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'one row: the backup with that id; NULL: the one that runs on this node, or its last one'
BEGIN
  DECLARE figures LONGTEXT DEFAULT galera_backup.plugin_status();
  IF IFNULL(JSON_VALUE(figures, '$.id'), '') = '' OR (backup_id IS NOT NULL AND backup_id <> JSON_VALUE(figures, '$.id')) THEN
    SET figures = galera_backup.catalog_status(backup_id);
  ELSE
    SET figures = JSON_SET(figures, '$.as_of', UTC_TIMESTAMP(6));
  END IF;
  IF figures IS NULL AND backup_id IS NULL THEN
    CALL galera_backup.fail(2004, CONCAT('no backup was ever started on ', galera_backup.node_name()),
      'CALL galera_backup.BACKUP_LIST(NULL) shows what there is');
  ELSEIF figures IS NULL THEN
    CALL galera_backup.fail(3005, CONCAT('there is no backup ', backup_id), 'CALL galera_backup.BACKUP_LIST(NULL) shows what there is');
  END IF;
  SELECT t.id, t.cluster, t.node, t.type, NULLIF(t.parent, '') AS parent, t.state, t.stage, t.percent, t.eta_s,
    CAST(NULLIF(t.started_at, '') AS DATETIME(6)) AS started_at, t.elapsed_s, t.stage_s, t.bytes_total, t.bytes_done,
    t.bytes_stored, t.read_rate, t.store_rate, t.bottleneck, t.rate_limit, t.redo_bytes,
    NULLIF(t.redo_headroom_s, -1) AS redo_headroom_s, t.waiting_for, t.desynced, t.desync_s, t.recv_queue, t.recv_queue_max,
    t.flow_control_sent, t.ddl_blocked_ms, t.commit_blocked_ms, t.blocked_ms, t.position, t.gtid, t.binlog_file, t.binlog_pos,
    t.lsn_start, t.lsn_end, t.repositories, t.resync, t.warnings, t.error_code, t.error, t.hint, CAST(t.as_of AS DATETIME(6)) AS as_of
  FROM JSON_TABLE(figures, '$' COLUMNS (
    id VARCHAR(64) PATH '$.id', cluster VARCHAR(255) PATH '$.cluster', node VARCHAR(255) PATH '$.node', type VARCHAR(16) PATH '$.type',
    parent VARCHAR(64) PATH '$.parent', state VARCHAR(16) PATH '$.state', stage VARCHAR(32) PATH '$.stage',
    percent INT PATH '$.percent', eta_s BIGINT PATH '$.eta_s', started_at VARCHAR(32) PATH '$.started_at',
    elapsed_s BIGINT PATH '$.elapsed_s', stage_s BIGINT PATH '$.stage_s', bytes_total BIGINT PATH '$.bytes_total',
    bytes_done BIGINT PATH '$.bytes_done', bytes_stored BIGINT PATH '$.bytes_stored', read_rate BIGINT PATH '$.read_rate',
    store_rate BIGINT PATH '$.store_rate', bottleneck VARCHAR(16) PATH '$.bottleneck', rate_limit BIGINT PATH '$.rate_limit',
    redo_bytes BIGINT PATH '$.redo_bytes', redo_headroom_s BIGINT PATH '$.redo_headroom_s', waiting_for TEXT PATH '$.waiting_for',
    desynced INT PATH '$.desynced', desync_s BIGINT PATH '$.desync_s', recv_queue BIGINT PATH '$.recv_queue',
    recv_queue_max BIGINT PATH '$.recv_queue_max', flow_control_sent BIGINT PATH '$.flow_control_sent',
    ddl_blocked_ms BIGINT PATH '$.ddl_blocked_ms', commit_blocked_ms BIGINT PATH '$.commit_blocked_ms',
    blocked_ms BIGINT PATH '$.blocked_ms', position VARCHAR(128) PATH '$.position', gtid TEXT PATH '$.gtid',
    binlog_file VARCHAR(255) PATH '$.binlog_file', binlog_pos BIGINT PATH '$.binlog_pos', lsn_start BIGINT PATH '$.lsn_start',
    lsn_end BIGINT PATH '$.lsn_end', repositories TEXT PATH '$.repositories', resync VARCHAR(16) PATH '$.resync',
    warnings TEXT PATH '$.warnings', error_code INT PATH '$.error_code', error TEXT PATH '$.error', hint TEXT PATH '$.hint',
    as_of VARCHAR(32) PATH '$.as_of')) t;
END//

-- ---- BACKUP_START

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.refuse_locked()
  READS SQL DATA SQL SECURITY DEFINER COMMENT 'refuses a caller whose own locks the backup would wait for'
BEGIN
  DECLARE locked BOOLEAN DEFAULT FALSE;
  IF @@in_transaction THEN
    CALL galera_backup.fail(1006, 'with wait the backup would wait for its own caller, who has a transaction open',
      'COMMIT or ROLLBACK first, or call without wait');
  END IF;
  BEGIN
    -- Under LOCK TABLES a session can use no table, and no alias of one, but those it has locked.
    DECLARE CONTINUE HANDLER FOR 1100 SET locked = TRUE;
    DO (SELECT COUNT(*) FROM galera_backup.backup_log under_lock_tables WHERE FALSE);
  END;
  IF locked THEN
    CALL galera_backup.fail(1006, 'with wait the backup would wait for its own caller, who holds LOCK TABLES',
      'UNLOCK TABLES first, or call without wait');
  END IF;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.find_end(IN backup_id VARCHAR(64), IN own_transaction BOOLEAN, OUT figures LONGTEXT)
  READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'the end of a backup that the plugin no longer shows: from the catalog, which an agent writes a moment later'
BEGIN
  DECLARE tries, slept INT DEFAULT 0;
  REPEAT
    IF tries > 0 THEN
      SET slept = SLEEP(0.25); -- not DO, which would swallow a KILL
    END IF;
    SET figures = galera_backup.catalog_status(backup_id), tries = tries + 1;
    IF own_transaction THEN
      COMMIT AND NO CHAIN NO RELEASE; -- else a session with autocommit=0 would never see a newer row
    END IF;
  UNTIL tries > 40 OR JSON_VALUE(figures, '$.state') <> 'running' END REPEAT;
  IF NOT JSON_VALUE(figures, '$.state') <> 'running' THEN
    SET figures = NULL;
  END IF;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_START(options LONGTEXT)
  MODIFIES SQL DATA SQL SECURITY DEFINER
  COMMENT 'starts a backup of this node, returns when it has begun to copy, with wait when it has ended; options: JSON object or NULL'
BEGIN
  DECLARE given LONGTEXT DEFAULT galera_backup.options_object(options);
  DECLARE here VARCHAR(255) DEFAULT galera_backup.node_name();
  DECLARE wanted_node TEXT DEFAULT galera_backup.option_text(given, 'node');
  DECLARE waits BOOLEAN DEFAULT galera_backup.option_flag(given, 'wait');
  DECLARE own_transaction BOOLEAN DEFAULT NOT @@in_transaction;
  DECLARE backup_id VARCHAR(64);
  DECLARE busy TEXT DEFAULT NULL;
  DECLARE slept INT;
  DECLARE nap DOUBLE DEFAULT 0.02; -- seconds; grows, so that the end of a short backup is seen at once and a long one is not asked often
  DECLARE answer, figures, repositories LONGTEXT;
  IF wanted_node = 'auto' THEN
    CALL galera_backup.fail(1005, 'node "auto": this release does not choose the node', 'CALL it on the node that shall be backed up');
  ELSEIF wanted_node NOT IN ('this', here) THEN
    CALL galera_backup.fail(2009, CONCAT('this is ', here, ', not ', LEFT(wanted_node, 64)), 'CALL it on that node');
  END IF;
  IF waits THEN
    CALL galera_backup.refuse_locked();
  END IF;
  BEGIN
    -- Under LOCK TABLES the catalog can't be read; without wait the backup may start nonetheless.
    DECLARE CONTINUE HANDLER FOR 1100 SET busy = NULL;
    SET busy = JSON_VALUE(galera_backup.running_elsewhere(NULL), '$.text');
  END;
  IF own_transaction THEN
    COMMIT AND NO CHAIN NO RELEASE;
  END IF;
  IF busy IS NOT NULL THEN
    CALL galera_backup.fail(2003, busy, 'wait, or CALL galera_backup.BACKUP_CANCEL(NULL) there');
  END IF;
  -- The eight digits: microseconds and twelve random bits, so that the ids of one second sort by time as well.
  SET backup_id = CONCAT(DATE_FORMAT(UTC_TIMESTAMP(), '%Y%m%dT%H%i%SZ'), '-full-',
    LPAD(LOWER(HEX(MICROSECOND(UTC_TIMESTAMP(6)) << 12 | CONV(HEX(RANDOM_BYTES(2)), 16, 10) & 4095)), 8, '0'));
  CALL galera_backup.command('start', backup_id, given, answer);
  -- From here on the backup is the server's: whatever becomes of this session, it goes on.
  REPEAT
    IF figures IS NOT NULL THEN
      SET slept = SLEEP(nap), nap = LEAST(nap * 1.15, IF(waits, 0.25, 0.05));
    END IF;
    SET figures = galera_backup.plugin_status();
    IF NOT JSON_VALUE(figures, '$.id') <=> backup_id THEN
      CALL galera_backup.find_end(backup_id, own_transaction, figures);
    END IF;
  UNTIL figures IS NULL OR JSON_VALUE(figures, '$.state') <> 'running' OR (NOT waits AND JSON_VALUE(figures, '$.stage') <> 'PREFLIGHT') END REPEAT;
  IF figures IS NULL THEN
    CALL galera_backup.fail(2104, CONCAT('the end of ', backup_id, ' was not seen: the plugin no longer shows it and the catalog does not have it'),
      'see the server''s error log');
  ELSEIF JSON_VALUE(figures, '$.state') IN ('failed', 'cancelled') THEN
    CALL galera_backup.fail(IF(JSON_VALUE(figures, '$.error_code') > 0, JSON_VALUE(figures, '$.error_code'), 9001),
      JSON_VALUE(figures, '$.error'), JSON_VALUE(figures, '$.hint'));
  END IF;
  SET repositories = IFNULL(JSON_VALUE(figures, '$.repositories'), '');
  IF repositories = '' AND JSON_VALUE(answer, '$[0]') LIKE 'repositories|%' THEN
    SET repositories = SUBSTRING(JSON_VALUE(answer, '$[0]'), 14);
  END IF;
  IF repositories = '' OR NOT JSON_VALID(repositories) THEN
    SET repositories = '[]';
  END IF;
  -- A SELECT without a table would leave the plugin's warning to the caller.
  SELECT t.id, here AS node, t.state, repositories
    FROM JSON_TABLE(figures, '$' COLUMNS (id VARCHAR(64) PATH '$.id', state VARCHAR(16) PATH '$.state')) t;
END//

-- ---- BACKUP_CANCEL and BACKUP_SET

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_CANCEL(backup_id VARCHAR(64))
  MODIFIES SQL DATA SQL SECURITY DEFINER
  COMMENT 'cancels the running backup of this node, waits up to 10 s for its end'
BEGIN
  DECLARE figures LONGTEXT DEFAULT galera_backup.plugin_status();
  DECLARE target VARCHAR(64) DEFAULT IFNULL(backup_id, JSON_VALUE(figures, '$.id'));
  DECLARE elsewhere, answer LONGTEXT DEFAULT NULL;
  DECLARE last_state VARCHAR(16) DEFAULT 'running';
  DECLARE tries, slept INT DEFAULT 0;
  IF NOT (JSON_VALUE(figures, '$.state') <=> 'running' AND JSON_VALUE(figures, '$.id') = target) THEN
    SET elsewhere = galera_backup.running_elsewhere(backup_id);
  END IF;
  IF elsewhere IS NOT NULL THEN
    CALL galera_backup.fail(2009, CONCAT('this is ', galera_backup.node_name(), ', and ', JSON_VALUE(elsewhere, '$.text')),
      CONCAT('CALL galera_backup.BACKUP_CANCEL(NULL) on ', JSON_VALUE(elsewhere, '$.node')));
  END IF;
  CALL galera_backup.command('cancel', backup_id, '{}', answer);
  REPEAT
    IF tries > 0 THEN
      SET slept = SLEEP(0.1);
    END IF;
    SET figures = galera_backup.plugin_status(), tries = tries + 1;
    IF JSON_VALUE(figures, '$.id') = target THEN
      SET last_state = JSON_VALUE(figures, '$.state');
    ELSE
      SET last_state = IFNULL(JSON_VALUE(galera_backup.catalog_status(target), '$.state'), 'cancelled'); -- another one runs by now
    END IF;
  UNTIL last_state <> 'running' OR tries > 100 END REPEAT;
  SELECT target AS id, last_state AS state;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_SET(options LONGTEXT)
  MODIFIES SQL DATA SQL SECURITY DEFINER
  COMMENT 'sets rate, busy_rate and threads of the running backup of this node, returns them'
BEGIN
  DECLARE answer, figures LONGTEXT;
  CALL galera_backup.command('set', NULL, galera_backup.options_object(options), answer);
  SET figures = galera_backup.plugin_status();
  SELECT CAST(JSON_VALUE(figures, '$.rate_limit') AS SIGNED) AS rate, CAST(JSON_VALUE(figures, '$.threads') AS SIGNED) AS threads,
    CAST(JSON_VALUE(figures, '$.busy_rate') AS SIGNED) AS busy_rate;
END//

-- ---- BACKUP_HOLD and BACKUP_RELEASE

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.set_hold(backup_id VARCHAR(64), until_text VARCHAR(32))
  MODIFIES SQL DATA SQL SECURITY DEFINER
  COMMENT 'until_text: as the agent takes it, empty releases. A repository that is slow goes on while it is asked again, for 30 s at most'
BEGIN
  DECLARE answer LONGTEXT;
  DECLARE waits BOOLEAN;
  DECLARE tries, slept INT DEFAULT 0;
  DECLARE held VARCHAR(64);
  IF backup_id IS NULL THEN
    CALL galera_backup.fail(1003, 'the id of the backup is missing', 'CALL galera_backup.BACKUP_LIST(NULL) shows what there is');
  END IF;
  REPEAT
    SET waits = FALSE, tries = tries + 1;
    BEGIN
      DECLARE CONTINUE HANDLER FOR 23010 SET waits = TRUE;
      CALL galera_backup.command('hold', backup_id, JSON_OBJECT('until', until_text), answer);
    END;
    IF waits THEN
      SET slept = SLEEP(0.5);
    END IF;
  UNTIL NOT waits OR tries > 20 END REPEAT;
  IF waits THEN
    CALL galera_backup.fail(3010, CONCAT('the hold of ', backup_id, ' is not done yet: the repository is slow, or the backup is just being removed'),
      'CALL it again');
  END IF;
  SET held = SUBSTRING(JSON_VALUE(answer, '$[0]'), 6);
  SELECT t.id, CAST(CASE t.held WHEN '' THEN NULL WHEN 'forever' THEN '9999-12-31 23:59:59' ELSE REPLACE(REPLACE(t.held, 'T', ' '), 'Z', '') END AS DATETIME(6)) AS hold_until
    FROM JSON_TABLE(JSON_OBJECT('id', backup_id, 'held', held), '$' COLUMNS (id VARCHAR(64) PATH '$.id', held VARCHAR(32) PATH '$.held')) t;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_HOLD(backup_id VARCHAR(64), until VARCHAR(32))
  MODIFIES SQL DATA SQL SECURITY DEFINER
  COMMENT 'keeps a backup whatever the rules say; until: a time in UTC, how long from now ("30d"), or NULL: until it is released'
BEGIN
  DECLARE moment DATETIME DEFAULT NULL;
  IF until REGEXP '^[0-9]{1,6}[smhd]$' THEN
    SET moment = UTC_TIMESTAMP() + INTERVAL LEFT(until, CHAR_LENGTH(until) - 1) *
      CASE RIGHT(until, 1) WHEN 's' THEN 1 WHEN 'm' THEN 60 WHEN 'h' THEN 3600 ELSE 86400 END SECOND;
  ELSEIF until IS NOT NULL THEN
    SET moment = galera_backup.option_time(JSON_OBJECT('until', until), 'until');
  END IF;
  CALL galera_backup.set_hold(backup_id, IFNULL(DATE_FORMAT(moment, '%Y-%m-%dT%H:%i:%sZ'), 'forever'));
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_RELEASE(backup_id VARCHAR(64))
  MODIFIES SQL DATA SQL SECURITY DEFINER
  COMMENT 'ends a hold'
BEGIN
  CALL galera_backup.set_hold(backup_id, '');
END//

-- ---- BACKUP_CHECK

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.server_checks() RETURNS LONGTEXT
  READS SQL DATA SQL SECURITY DEFINER COMMENT 'what SQL can tell about this node, as a JSON array of [check, result, detail, remedy]'
BEGIN
  DECLARE enabled, binlog, updates VARCHAR(16);
  DECLARE list LONGTEXT DEFAULT '[]';
  DECLARE newest VARCHAR(64);
  DECLARE ist TEXT DEFAULT galera_backup.ist_check();
  DECLARE here VARCHAR(255) DEFAULT galera_backup.node_name();
  DECLARE redo_rate BIGINT;
  DECLARE log_size BIGINT DEFAULT (SELECT MAX(v.VARIABLE_VALUE) FROM information_schema.GLOBAL_VARIABLES v WHERE v.VARIABLE_NAME = 'INNODB_LOG_FILE_SIZE');
  SELECT MAX(IF(v.VARIABLE_NAME = 'GALERA_BACKUP_ENABLED', v.VARIABLE_VALUE, NULL)), MAX(IF(v.VARIABLE_NAME = 'LOG_BIN', v.VARIABLE_VALUE, NULL)),
      MAX(IF(v.VARIABLE_NAME = 'LOG_SLAVE_UPDATES', v.VARIABLE_VALUE, NULL)) INTO enabled, binlog, updates
    FROM information_schema.GLOBAL_VARIABLES v WHERE v.VARIABLE_NAME IN ('GALERA_BACKUP_ENABLED', 'LOG_BIN', 'LOG_SLAVE_UPDATES');
  IF enabled = 'ON' THEN
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_ARRAY('enabled', 'OK', 'backups are switched on', ''));
  ELSE
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_ARRAY('enabled', 'FAIL', 'backups are switched off on this node (galera_backup_enabled=OFF)',
      'SET GLOBAL galera_backup_enabled=ON'));
  END IF;
  IF binlog <> 'ON' THEN
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_ARRAY('binlog', 'WARN', 'no binary log: a restore ends at a backup, not between two',
      'set log_bin, and log_slave_updates on a Galera node, where point-in-time recovery is wanted'));
  ELSEIF updates <> 'ON' AND galera_backup.cluster_name() <> '' THEN
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_ARRAY('binlog', 'WARN', 'the binary log of this node lacks what other nodes write (log_slave_updates=OFF)',
      'set log_slave_updates=ON and restart'));
  ELSE
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_ARRAY('binlog', 'OK', 'the binary log has all changes', ''));
  END IF;
  -- Redo from backup to backup of this node; the LSN falls where its data came from another node.
  SELECT CEIL(MAX((r.lsn_end - r.before_lsn) / TIMESTAMPDIFF(SECOND, r.before_at, r.finished_at))) INTO redo_rate FROM
    (SELECT b.lsn_end, b.finished_at, LAG(b.lsn_end) OVER (ORDER BY b.id) AS before_lsn, LAG(b.finished_at) OVER (ORDER BY b.id) AS before_at
      FROM (SELECT n.id, n.lsn_end, n.finished_at FROM galera_backup.backups n WHERE n.node = here AND n.state = 'succeeded' AND n.lsn_end > 0
        ORDER BY n.id DESC LIMIT 6) b) r
    WHERE r.lsn_end > r.before_lsn AND r.finished_at > r.before_at + INTERVAL 1 MINUTE;
  IF redo_rate > 0 AND log_size / redo_rate < 300 THEN
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_ARRAY('redo_headroom', 'WARN', CONCAT('innodb_log_file_size of ', log_size DIV 1048576,
      ' MB holds ', galera_backup.duration_text(log_size DIV redo_rate), ' of redo at the rate between the last backups (', redo_rate DIV 1000, ' kB/s): a repository that is slow for so long fails the backup'),
      CONCAT('SET GLOBAL innodb_log_file_size = ', CEIL(redo_rate * 300 / 1073741824), ' * 1073741824 (five minutes)')));
  END IF;
  IF ist IS NOT NULL THEN
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_COMPACT(ist));
  END IF;
  SELECT MAX(b.id) INTO newest FROM galera_backup.backups b WHERE b.state = 'succeeded' AND b.type <> 'save';
  RETURN JSON_ARRAY_APPEND(list, '$', JSON_ARRAY('catalog', 'OK', IFNULL(CONCAT('the newest backup is ', newest), 'no backup yet'), ''));
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_CHECK(options LONGTEXT)
  MODIFIES SQL DATA SQL SECURITY DEFINER
  COMMENT 'would a backup of this node begin now: a row for each check'
BEGIN
  DECLARE given LONGTEXT DEFAULT galera_backup.options_object(options);
  DECLARE check_id VARCHAR(64) DEFAULT LOWER(HEX(RANDOM_BYTES(16)));
  DECLARE answer, figures LONGTEXT;
  DECLARE list LONGTEXT DEFAULT '[]';
  DECLARE line, agent_version TEXT;
  DECLARE tries, slept, i INT DEFAULT 0;
  CALL galera_backup.check_keys(given, '["repository"]', 'BACKUP_CHECK');
  CALL galera_backup.command('check', check_id, given, answer);
  REPEAT
    IF tries > 0 THEN
      SET slept = SLEEP(0.05);
    END IF;
    SET figures = galera_backup.plugin_status(), tries = tries + 1;
  UNTIL tries > 300 OR (JSON_VALUE(figures, '$.check_id') = check_id AND JSON_VALUE(figures, '$.check_done') = '1') END REPEAT;
  IF tries > 300 THEN
    CALL galera_backup.fail(2104, 'the check did not end within 15 s', 'see the server''s error log');
  END IF;
  CALL galera_backup.command('check_rows', check_id, '{}', answer);
  WHILE i < JSON_LENGTH(answer) DO
    SET line = JSON_VALUE(answer, CONCAT('$[', i, ']')), i = i + 1;
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_ARRAY(SUBSTRING_INDEX(line, '|', 1),
      SUBSTRING_INDEX(SUBSTRING_INDEX(line, '|', 2), '|', -1), SUBSTRING_INDEX(SUBSTRING_INDEX(line, '|', 3), '|', -1),
      SUBSTRING_INDEX(line, '|', -1)));
  END WHILE;
  SET agent_version = REGEXP_SUBSTR(IFNULL(JSON_VALUE(list, '$[0][2]'), ''), '(?<=^galera-backup )[^ ]+');
  IF agent_version <> '' AND agent_version <> JSON_VALUE(figures, '$.version') THEN
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_ARRAY('versions', 'WARN', CONCAT('the plugin is ', JSON_VALUE(figures, '$.version'),
      ', the agent ', agent_version), 'install the same release of both, then restart agent and server'));
  END IF;
  SET list = JSON_MERGE_PRESERVE(list, galera_backup.server_checks());
  SELECT t.name AS `check`, t.result, t.detail, t.remedy FROM JSON_TABLE(list, '$[*]' COLUMNS (seq FOR ORDINALITY,
    name VARCHAR(64) PATH '$[0]', result VARCHAR(8) PATH '$[1]', detail TEXT PATH '$[2]', remedy TEXT PATH '$[3]')) t ORDER BY t.seq;
END//

-- ---- BACKUP_LIST and BACKUP_LOG

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_LIST(options LONGTEXT)
  READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'backups and failed runs of the cluster, newest first; filters: state, since, until, node, repository, type, limit'
BEGIN
  DECLARE given LONGTEXT DEFAULT galera_backup.options_object(options);
  DECLARE f_state, f_type VARCHAR(64);
  DECLARE f_node, f_repository TEXT;
  DECLARE f_since, f_until DATETIME(6);
  DECLARE most INT;
  DECLARE uuid VARCHAR(64);
  DECLARE lowest, last BIGINT;
  CALL galera_backup.check_keys(given, '["state","since","until","node","repository","type","limit"]', 'BACKUP_LIST');
  SET f_state = galera_backup.option_word(given, 'state', '["running","succeeded","failed","cancelled"]'),
      f_type = galera_backup.option_word(given, 'type', '["full","incremental","save"]'),
      f_node = galera_backup.option_text(given, 'node'), f_repository = galera_backup.option_text(given, 'repository'),
      f_since = galera_backup.option_time(given, 'since'), f_until = galera_backup.option_time(given, 'until'),
      most = galera_backup.option_count(given, 'limit', 100, 100000);
  SELECT MAX(d.state_uuid), MIN(d.cached_downto), MAX(d.last_committed) INTO uuid, lowest, last FROM galera_backup.donors d;
  SELECT b.id, b.cluster, b.type, b.parent, b.chain_length, b.state, b.node, b.started_at, b.finished_at, b.duration_s, b.data_bytes,
      b.stored_bytes, b.repositories, b.position, b.gtid, b.server_version, b.encrypted, b.key_ids, b.verified, b.verified_at,
      b.hold_until, b.keep_reason, b.expires_at, b.comment, b.error_code, b.error, b.as_of,
      IF(b.state <> 'succeeded' OR b.position = '', NULL, CASE WHEN uuid IS NULL THEN 'unknown' WHEN b.position NOT LIKE CONCAT(uuid, ':%') THEN 'no'
        WHEN SUBSTRING_INDEX(b.position, ':', -1) + 0 < galera_backup.ist_lowest(lowest, last) THEN 'no' ELSE 'yes' END) AS ist,
      IF(b.state = 'succeeded' AND b.position LIKE CONCAT(uuid, ':%'), GREATEST(last - CAST(SUBSTRING_INDEX(b.position, ':', -1) AS SIGNED), 0), NULL) AS ist_writesets
    FROM galera_backup.backups b
    WHERE (f_state IS NULL OR b.state = f_state) AND (f_type IS NULL OR b.type = f_type) AND (f_node IS NULL OR b.node = f_node)
      AND (f_since IS NULL OR b.started_at >= f_since) AND (f_until IS NULL OR b.started_at <= f_until)
      AND (f_repository IS NULL OR IF(b.repositories LIKE '[%]' AND JSON_VALID(b.repositories),
           JSON_CONTAINS(JSON_EXTRACT(b.repositories, '$[*].name'), JSON_QUOTE(f_repository)), FALSE))
    ORDER BY b.id DESC, b.cluster LIMIT most;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_LOG(backup_id VARCHAR(64))
  READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'what happened in a backup; NULL: in the one that runs on this node, or its last one'
BEGIN
  DECLARE shown VARCHAR(64) DEFAULT IFNULL(JSON_VALUE(galera_backup.plugin_status(), '$.id'), '');
  DECLARE wanted VARCHAR(64) DEFAULT IFNULL(backup_id, IF(shown <> '', shown, JSON_VALUE(galera_backup.catalog_status(NULL), '$.id')));
  DECLARE known BOOLEAN;
  IF wanted IS NULL THEN
    CALL galera_backup.fail(2004, CONCAT('no backup was ever started on ', galera_backup.node_name()),
      'CALL galera_backup.BACKUP_LIST(NULL) shows what there is');
  END IF;
  SELECT wanted = shown OR EXISTS (SELECT 1 FROM galera_backup.backups b WHERE b.id = wanted) OR
    EXISTS (SELECT 1 FROM galera_backup.backup_log l WHERE l.id = wanted) INTO known;
  IF NOT known THEN
    CALL galera_backup.fail(3005, CONCAT('there is no backup ', wanted), 'CALL galera_backup.BACKUP_LIST(NULL) shows what there is');
  END IF;
  SELECT l.at, l.stage, l.level, l.message FROM galera_backup.backup_log l WHERE l.id = wanted ORDER BY l.cluster, l.seq;
END//

DELIMITER ;

-- ---- who may call what

GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_START TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_STATUS TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_CANCEL TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_SET TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_LIST TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_CHECK TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_LOG TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_HOLD TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_RELEASE TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_STATUS TO galera_backup_monitor;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_LIST TO galera_backup_monitor;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_CHECK TO galera_backup_monitor;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_LOG TO galera_backup_monitor;

SET SESSION sql_mode = @galera_backup_mode, character_set_client = @galera_backup_client,
    character_set_results = @galera_backup_results, collation_connection = @galera_backup_collation;
