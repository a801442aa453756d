-- galera-backup: schema, procedures, accounts. Run it as a privileged user; safe to run again, and on a cluster where
-- some node has no plugin: no statement here names a variable of the plugin (docs/sql.md).
SET @gb_old_mode = @@SESSION.sql_mode;
SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO';

CREATE DATABASE IF NOT EXISTS galera_backup CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

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
  as_of DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (cluster, id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS galera_backup.backup_log (
  cluster VARCHAR(128) NOT NULL,
  id VARCHAR(64) NOT NULL,
  seq INT UNSIGNED NOT NULL,
  at DATETIME(6) NOT NULL,
  stage VARCHAR(32) NOT NULL,
  level VARCHAR(8) NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (cluster, id, seq)
) ENGINE=InnoDB;

-- The account that the procedures run as: nobody can log in with it. SUPER is what setting a plugin's variable takes.
CREATE USER IF NOT EXISTS 'galera_backup_definer'@'localhost' IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;
GRANT SUPER ON *.* TO 'galera_backup_definer'@'localhost';
GRANT EXECUTE, SELECT, INSERT, UPDATE, DELETE ON galera_backup.* TO 'galera_backup_definer'@'localhost';

-- The account of the agent, by the operating system's user of that name.
CREATE USER IF NOT EXISTS 'galera-backup'@'localhost' IDENTIFIED VIA unix_socket;
GRANT EXECUTE, SELECT, INSERT, UPDATE, DELETE ON galera_backup.* TO 'galera-backup'@'localhost';

CREATE ROLE IF NOT EXISTS galera_backup_operator;
CREATE ROLE IF NOT EXISTS galera_backup_monitor;

DELIMITER //

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.node_name() RETURNS VARCHAR(255)
  READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'wsrep_node_name, else the host name'
BEGIN
  DECLARE name VARCHAR(255) DEFAULT NULL;
  SELECT MAX(IF(VARIABLE_NAME = 'WSREP_NODE_NAME', VARIABLE_VALUE, NULL)) INTO name
    FROM information_schema.GLOBAL_VARIABLES
    WHERE VARIABLE_NAME = 'WSREP_NODE_NAME' AND
      EXISTS (SELECT 1 FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME = 'WSREP_ON' AND VARIABLE_VALUE = 'ON');
  RETURN IF(name IS NULL OR name = '', @@GLOBAL.hostname, name);
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.cluster_name() RETURNS VARCHAR(255)
  READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'wsrep_cluster_name, empty on a standalone server'
BEGIN
  DECLARE name VARCHAR(255) DEFAULT '';
  SELECT IFNULL(MAX(VARIABLE_VALUE), '') INTO name
    FROM information_schema.GLOBAL_VARIABLES
    WHERE VARIABLE_NAME = 'WSREP_CLUSTER_NAME' AND
      EXISTS (SELECT 1 FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME = 'WSREP_ON' AND VARIABLE_VALUE = 'ON');
  RETURN name;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.status_value(name VARCHAR(64))
  RETURNS TEXT READS SQL DATA SQL SECURITY DEFINER
  COMMENT 'one status variable of the plugin; NULL where it is not loaded'
BEGIN
  RETURN (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = CONCAT('GALERA_BACKUP_', UPPER(name)));
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.fail(code INT, text VARCHAR(500))
  SQL SECURITY DEFINER
  COMMENT 'raises GBnnnn'
BEGIN
  DECLARE number INT DEFAULT 20000 + code;
  DECLARE message VARCHAR(512) DEFAULT LEFT(CONCAT('GB', LPAD(code, 4, '0'), ' ', text), 512);
  SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = number, MESSAGE_TEXT = message;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.command(IN op VARCHAR(16), IN backup_id VARCHAR(64),
  IN caller VARCHAR(255), IN options LONGTEXT, OUT told TEXT)
  SQL SECURITY DEFINER
  COMMENT 'hands a command to the plugin; told is the last warning it raised'
BEGIN
  DECLARE message LONGTEXT;
  DECLARE given LONGTEXT DEFAULT IF(options IS NULL OR options = '', '{}', options);
  DECLARE warnings_raised INT DEFAULT 0;
  DECLARE EXIT HANDLER FOR 1193
    CALL galera_backup.fail(2001, CONCAT('plugin_missing: plugin galera_backup is not loaded on ', galera_backup.node_name(),
      '; do: INSTALL SONAME ''galera_backup'' there or install the package'));
  IF NOT JSON_VALID(given) OR JSON_TYPE(given) <> 'OBJECT' THEN
    CALL galera_backup.fail(1003, CONCAT('bad_value: "', LEFT(options, 80), '" is not a JSON object; do: give options like ''{"comment": "before the upgrade"}'''));
  END IF;
  SET message = JSON_OBJECT('op', op, 'id', backup_id, 'user', caller, 'node', galera_backup.node_name(),
    'cluster', galera_backup.cluster_name(),
    'options', JSON_COMPACT(given), 'keys', JSON_COMPACT(JSON_KEYS(given)));
  EXECUTE IMMEDIATE 'SET GLOBAL galera_backup_command = ?' USING message;
  GET DIAGNOSTICS warnings_raised = NUMBER;
  IF warnings_raised > 0 THEN
    GET DIAGNOSTICS CONDITION warnings_raised told = MESSAGE_TEXT;
  END IF;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' FUNCTION galera_backup.error_name(code INT) RETURNS VARCHAR(32)
  DETERMINISTIC NO SQL SQL SECURITY DEFINER
  COMMENT 'short name of GBnnnn (common/errors.def)'
BEGIN
  RETURN CASE code
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
    WHEN 4001 THEN 'target_not_empty'
    WHEN 4002 THEN 'target_in_use'
    WHEN 4003 THEN 'target_no_space'
    WHEN 4004 THEN 'target_failed'
    WHEN 4005 THEN 'target_unfinished'
    WHEN 5001 THEN 'server_unreachable'
    WHEN 5002 THEN 'connection_lost'
    WHEN 5003 THEN 'access_denied'
    WHEN 9001 THEN 'internal'
    ELSE 'internal' END;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_STATUS(backup_id VARCHAR(64))
  SQL SECURITY DEFINER
  COMMENT 'one row: the running backup, or the last one of this node (NULL), or the one of that id'
BEGIN
  DECLARE here VARCHAR(64) DEFAULT galera_backup.status_value('id');
  DECLARE wanted VARCHAR(64) DEFAULT backup_id;
  IF here IS NOT NULL AND here <> '' AND (wanted IS NULL OR wanted = here) THEN
    SELECT
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_ID', s.VARIABLE_VALUE, NULL)) AS id,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_CLUSTER', s.VARIABLE_VALUE, NULL)) AS cluster,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_NODE', s.VARIABLE_VALUE, NULL)) AS node,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_TYPE', s.VARIABLE_VALUE, NULL)) AS type,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_PARENT', s.VARIABLE_VALUE, NULL)) AS parent,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_STATE', s.VARIABLE_VALUE, NULL)) AS state,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_STAGE', s.VARIABLE_VALUE, NULL)) AS stage,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_PERCENT', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS percent,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_ETA_S', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS eta_s,
      CAST(NULLIF(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_STARTED_AT', s.VARIABLE_VALUE, NULL)), '') AS DATETIME) AS started_at,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_ELAPSED_S', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS elapsed_s,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_STAGE_S', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS stage_s,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_BYTES_TOTAL', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS bytes_total,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_BYTES_DONE', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS bytes_done,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_BYTES_STORED', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS bytes_stored,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_READ_RATE', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS read_rate,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_STORE_RATE', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS store_rate,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_BOTTLENECK', s.VARIABLE_VALUE, NULL)) AS bottleneck,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_RATE_LIMIT', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS rate_limit,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_REDO_BYTES', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS redo_bytes,
      NULLIF(CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_REDO_HEADROOM_S', s.VARIABLE_VALUE, NULL)) AS SIGNED), -1) AS redo_headroom_s,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_WAITING_FOR', s.VARIABLE_VALUE, NULL)) AS waiting_for,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_DESYNCED', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS desynced,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_DESYNC_S', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS desync_s,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_RECV_QUEUE', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS recv_queue,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_RECV_QUEUE_MAX', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS recv_queue_max,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_FLOW_CONTROL_SENT', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS flow_control_sent,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_DDL_BLOCKED_MS', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS ddl_blocked_ms,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_COMMIT_BLOCKED_MS', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS commit_blocked_ms,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_BLOCKED_MS', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS blocked_ms,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_POSITION', s.VARIABLE_VALUE, NULL)) AS position,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_GTID', s.VARIABLE_VALUE, NULL)) AS gtid,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_BINLOG_FILE', s.VARIABLE_VALUE, NULL)) AS binlog_file,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_BINLOG_POS', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS binlog_pos,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_LSN_START', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS lsn_start,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_LSN_END', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS lsn_end,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_REPOSITORIES', s.VARIABLE_VALUE, NULL)) AS repositories,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_RESYNC', s.VARIABLE_VALUE, NULL)) AS resync,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_WARNINGS', s.VARIABLE_VALUE, NULL)) AS warnings,
      CAST(MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_ERROR_CODE', s.VARIABLE_VALUE, NULL)) AS SIGNED) AS error_code,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_ERROR', s.VARIABLE_VALUE, NULL)) AS error,
      MAX(IF(s.VARIABLE_NAME = 'GALERA_BACKUP_HINT', s.VARIABLE_VALUE, NULL)) AS hint,
      UTC_TIMESTAMP(6) AS as_of
    FROM information_schema.GLOBAL_STATUS s WHERE s.VARIABLE_NAME LIKE 'GALERA\\_BACKUP\\_%';
  ELSE
    IF wanted IS NULL THEN
      SELECT MAX(b.id) INTO wanted FROM galera_backup.backups b WHERE b.node = galera_backup.node_name();
      IF wanted IS NULL THEN
        CALL galera_backup.fail(2004, 'not_running: no backup was ever started on this node; do: CALL galera_backup.BACKUP_LIST(NULL)');
      END IF;
    ELSEIF NOT EXISTS (SELECT 1 FROM galera_backup.backups b WHERE b.id = wanted) THEN
      CALL galera_backup.fail(3005, CONCAT('not_found: there is no backup ', LEFT(wanted, 64), '; do: CALL galera_backup.BACKUP_LIST(NULL)'));
    END IF;
    SELECT
      b.id AS id,
      b.cluster AS cluster,
      b.node AS node,
      b.type AS type,
      b.parent AS parent,
      b.state AS state,
      b.stage AS stage,
      b.percent AS percent,
      b.eta_s AS eta_s,
      b.started_at AS started_at,
      IFNULL(b.duration_s, TIMESTAMPDIFF(SECOND, b.started_at, UTC_TIMESTAMP())) AS elapsed_s,
      0 AS stage_s,
      b.bytes_total AS bytes_total,
      b.bytes_done AS bytes_done,
      b.stored_bytes AS bytes_stored,
      0 AS read_rate,
      0 AS store_rate,
      '' AS bottleneck,
      0 AS rate_limit,
      b.lsn_end - b.lsn_start AS redo_bytes,
      NULL AS redo_headroom_s,
      '' AS waiting_for,
      0 AS desynced,
      b.desync_s AS desync_s,
      0 AS recv_queue,
      b.recv_queue_max AS recv_queue_max,
      b.flow_control_sent AS flow_control_sent,
      b.ddl_blocked_ms AS ddl_blocked_ms,
      b.commit_blocked_ms AS commit_blocked_ms,
      b.blocked_ms AS blocked_ms,
      b.position AS position,
      b.gtid AS gtid,
      b.binlog_file AS binlog_file,
      b.binlog_pos AS binlog_pos,
      b.lsn_start AS lsn_start,
      b.lsn_end AS lsn_end,
      b.repositories AS repositories,
      b.resync AS resync,
      b.warnings AS warnings,
      b.error_code AS error_code,
      b.error AS error,
      b.hint AS hint,
      b.as_of AS as_of
    FROM galera_backup.backups b WHERE b.id = wanted LIMIT 1;
  END IF;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_LIST(options LONGTEXT)
  SQL SECURITY DEFINER
  COMMENT 'backups and failed runs, newest first; filters: state, since, until, node, repository, type, limit'
BEGIN
  DECLARE given LONGTEXT DEFAULT IF(options IS NULL OR options = '', '{}', options);
  DECLARE key_names LONGTEXT;
  DECLARE i INT DEFAULT 0;
  DECLARE name TEXT;
  DECLARE most INT DEFAULT 100;
  IF NOT JSON_VALID(given) OR JSON_TYPE(given) <> 'OBJECT' THEN
    CALL galera_backup.fail(1003, CONCAT('bad_value: "', LEFT(given, 80), '" is not a JSON object; do: give filters like ''{"state": "succeeded"}'''));
  END IF;
  SET key_names = JSON_KEYS(given);
  WHILE i < JSON_LENGTH(key_names) DO
    SET name = JSON_UNQUOTE(JSON_EXTRACT(key_names, CONCAT('$[', i, ']')));
    IF name NOT IN ('state', 'since', 'until', 'node', 'repository', 'type', 'limit') THEN
      CALL galera_backup.fail(1002, CONCAT('unknown_option: BACKUP_LIST has no filter "', LEFT(name, 64), '"; do: ',
        IFNULL((SELECT CONCAT('perhaps "', k.word, '" was meant') FROM (SELECT 'state' AS word UNION SELECT 'since' UNION SELECT 'until'
          UNION SELECT 'node' UNION SELECT 'repository' UNION SELECT 'type' UNION SELECT 'limit') k
          WHERE LEFT(k.word, 2) = LEFT(name, 2) OR SOUNDEX(k.word) = SOUNDEX(name) LIMIT 1), 'use state, since, until, node, repository, type or limit')));
    END IF;
    SET i = i + 1;
  END WHILE;
  IF JSON_VALUE(given, '$.limit') IS NOT NULL THEN
    IF JSON_VALUE(given, '$.limit') NOT REGEXP '^[0-9]{1,6}$' THEN
      CALL galera_backup.fail(1003, CONCAT('bad_value: limit cannot be "', LEFT(JSON_VALUE(given, '$.limit'), 40), '"; do: give a number'));
    END IF;
    SET most = JSON_VALUE(given, '$.limit');
  END IF;
  IF JSON_VALUE(given, '$.since') IS NOT NULL AND CAST(JSON_VALUE(given, '$.since') AS DATETIME) IS NULL THEN
    CALL galera_backup.fail(1003, CONCAT('bad_value: since cannot be "', LEFT(JSON_VALUE(given, '$.since'), 40), '"; do: give a time like 2026-11-21 02:00:00'));
  END IF;
  IF JSON_VALUE(given, '$.until') IS NOT NULL AND CAST(JSON_VALUE(given, '$.until') AS DATETIME) IS NULL THEN
    CALL galera_backup.fail(1003, CONCAT('bad_value: until cannot be "', LEFT(JSON_VALUE(given, '$.until'), 40), '"; do: give a time like 2026-11-21 02:00:00'));
  END IF;
  SELECT b.id, b.cluster, b.type, b.parent, b.chain_length, b.state, b.node, b.started_at, b.finished_at, b.duration_s, b.data_bytes, b.stored_bytes, b.repositories, b.position, b.gtid, b.server_version, b.encrypted, b.key_ids, b.verified, b.verified_at, b.hold_until, b.keep_reason, b.expires_at, b.comment, b.error_code, b.error, b.as_of
    FROM galera_backup.backups b
    WHERE (JSON_VALUE(given, '$.state') IS NULL OR b.state = JSON_VALUE(given, '$.state'))
      AND (JSON_VALUE(given, '$.node') IS NULL OR b.node = JSON_VALUE(given, '$.node'))
      AND (JSON_VALUE(given, '$.type') IS NULL OR b.type = JSON_VALUE(given, '$.type'))
      AND (JSON_VALUE(given, '$.repository') IS NULL OR (JSON_VALID(b.repositories) AND
           JSON_SEARCH(b.repositories, 'one', JSON_VALUE(given, '$.repository'), NULL, '$[*].name') IS NOT NULL))
      AND (JSON_VALUE(given, '$.since') IS NULL OR b.started_at >= CAST(JSON_VALUE(given, '$.since') AS DATETIME))
      AND (JSON_VALUE(given, '$.until') IS NULL OR b.started_at <= CAST(JSON_VALUE(given, '$.until') AS DATETIME))
    ORDER BY b.id DESC LIMIT most;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_START(options LONGTEXT)
  SQL SECURITY DEFINER
  COMMENT 'starts a backup of this node; options: JSON object or NULL'
main: BEGIN
  DECLARE backup_id VARCHAR(64);
  DECLARE told TEXT DEFAULT NULL;
  DECLARE node TEXT DEFAULT NULL;
  DECLARE waits TEXT DEFAULT NULL;
  DECLARE state TEXT DEFAULT 'running';
  DECLARE stage TEXT DEFAULT 'PREFLIGHT';
  DECLARE code INT DEFAULT 0;
  DECLARE what TEXT DEFAULT '';
  DECLARE caller VARCHAR(255) DEFAULT USER();
  DECLARE busy_text TEXT DEFAULT NULL;
  IF options IS NOT NULL AND JSON_VALID(options) THEN
    SET node = JSON_VALUE(options, '$.node'), waits = JSON_VALUE(options, '$.wait');
  END IF;
  IF node IS NOT NULL AND node NOT IN ('this', galera_backup.node_name()) THEN
    CALL galera_backup.fail(2009, CONCAT('wrong_node: this is ', galera_backup.node_name(), ', not ', LEFT(node, 64),
      '; do: CALL it on that node'));
  END IF;
  IF waits IN ('1', 'true') AND @@in_transaction THEN
    CALL galera_backup.fail(1006, 'in_transaction: wait would block the backup itself: a transaction is open; do: COMMIT or UNLOCK TABLES first, or call without wait');
  END IF;
  SELECT CONCAT('busy: ', b.id, ' is running on ', b.node, ' (', b.stage, ', ', b.percent, ' %, ETA ', b.eta_s, 's); do: wait, or CALL galera_backup.BACKUP_CANCEL(NULL) there')
    INTO busy_text FROM galera_backup.backups b
    WHERE b.cluster = galera_backup.cluster_name() AND b.state = 'running' AND b.node <> galera_backup.node_name()
      AND b.as_of > UTC_TIMESTAMP(6) - INTERVAL 30 SECOND LIMIT 1;
  IF busy_text IS NOT NULL THEN
    CALL galera_backup.fail(2003, busy_text);
  END IF;
  SET backup_id = CONCAT(DATE_FORMAT(UTC_TIMESTAMP(), '%Y%m%dT%H%i%sZ'), '-full-', LOWER(HEX(RANDOM_BYTES(4))));
  CALL galera_backup.command('start', backup_id, caller, options, told);
  -- A backup that can't begin says so here; one that has begun goes on whatever becomes of this session.
  WHILE state = 'running' AND (stage = 'PREFLIGHT' OR waits IN ('1', 'true')) DO
    DO SLEEP(IF(stage = 'PREFLIGHT', 0.05, 0.25));
    SELECT galera_backup.status_value('state'), galera_backup.status_value('stage') INTO state, stage;
    IF galera_backup.status_value('id') <> backup_id THEN
      SELECT b.state, b.stage, b.error_code, b.error INTO state, stage, code, what
        FROM galera_backup.backups b WHERE b.id = backup_id LIMIT 1;
    END IF;
  END WHILE;
  IF galera_backup.status_value('id') = backup_id AND state IN ('failed', 'cancelled') THEN
    SET code = galera_backup.status_value('error_code'),
        what = CONCAT(galera_backup.status_value('error'), '; do: ', galera_backup.status_value('hint'));
  END IF;
  IF state IN ('failed', 'cancelled') THEN
    CALL galera_backup.fail(code, CONCAT(galera_backup.error_name(code), ': ', LEFT(backup_id, 64), ': ', LEFT(what, 350)));
  END IF;
  SELECT backup_id AS id, galera_backup.node_name() AS node, state AS state,
    IF(told LIKE 'repositories|%', SUBSTRING(told, 14), '[]') AS repositories;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_CANCEL(backup_id VARCHAR(64))
  SQL SECURITY DEFINER
  COMMENT 'cancels the running backup of this node, waits up to 10 s for its end'
BEGIN
  DECLARE told TEXT DEFAULT NULL;
  DECLARE tries INT DEFAULT 0;
  DECLARE caller VARCHAR(255) DEFAULT USER();
  CALL galera_backup.command('cancel', backup_id, caller, NULL, told);
  WHILE galera_backup.status_value('state') = 'running' AND tries < 100 DO
    DO SLEEP(0.1);
    SET tries = tries + 1;
  END WHILE;
  SELECT galera_backup.status_value('id') AS id, galera_backup.status_value('state') AS state;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_SET(options LONGTEXT)
  SQL SECURITY DEFINER
  COMMENT 'rate and threads of the running backup'
BEGIN
  DECLARE told TEXT DEFAULT NULL;
  DECLARE caller VARCHAR(255) DEFAULT USER();
  CALL galera_backup.command('set', NULL, caller, options, told);
  SELECT galera_backup.status_value('id') AS id, galera_backup.status_value('rate_limit') AS rate,
    galera_backup.status_value('threads') AS threads;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_CHECK(options LONGTEXT)
  SQL SECURITY DEFINER
  COMMENT 'is a backup possible now: one row a check'
BEGIN
  DECLARE check_id VARCHAR(64) DEFAULT LOWER(HEX(RANDOM_BYTES(16)));
  DECLARE told TEXT DEFAULT NULL;
  DECLARE tries INT DEFAULT 0;
  DECLARE rows_told INT DEFAULT 0;
  DECLARE i INT DEFAULT 1;
  DECLARE line TEXT;
  DECLARE message LONGTEXT;
  DECLARE list LONGTEXT DEFAULT '[]';
  DECLARE caller VARCHAR(255) DEFAULT USER();
  CALL galera_backup.command('check', check_id, caller, options, told);
  WHILE NOT (galera_backup.status_value('check_id') = check_id AND galera_backup.status_value('check_done') = '1') DO
    DO SLEEP(0.05);
    SET tries = tries + 1;
    IF tries > 300 THEN
      CALL galera_backup.fail(9001, 'internal: the check did not end in 15 s; do: look at the error log');
    END IF;
  END WHILE;
  SET message = JSON_OBJECT('op', 'check_rows', 'id', check_id);
  EXECUTE IMMEDIATE 'SET GLOBAL galera_backup_command = ?' USING message;
  GET DIAGNOSTICS rows_told = NUMBER;
  WHILE i <= rows_told DO
    -- Reading one condition does not clear the others.
    GET DIAGNOSTICS CONDITION i line = MESSAGE_TEXT;
    SET list = JSON_ARRAY_APPEND(list, '$', JSON_ARRAY(SUBSTRING_INDEX(line, '|', 1),
      SUBSTRING_INDEX(SUBSTRING_INDEX(line, '|', 2), '|', -1), SUBSTRING_INDEX(SUBSTRING_INDEX(line, '|', 3), '|', -1),
      SUBSTRING_INDEX(line, '|', -1)));
    SET i = i + 1;
  END WHILE;
  SELECT t.name AS `check`, t.result, t.detail, t.remedy FROM JSON_TABLE(list, '$[*]' COLUMNS (
    name TEXT PATH '$[0]', result TEXT PATH '$[1]', detail TEXT PATH '$[2]', remedy TEXT PATH '$[3]')) t;
END//

CREATE OR REPLACE DEFINER='galera_backup_definer'@'localhost' PROCEDURE galera_backup.BACKUP_LOG(backup_id VARCHAR(64))
  SQL SECURITY DEFINER
  COMMENT 'what happened in a backup; NULL: the newest'
BEGIN
  DECLARE wanted VARCHAR(64) DEFAULT backup_id;
  IF wanted IS NULL THEN
    SELECT MAX(l.id) INTO wanted FROM galera_backup.backup_log l;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM galera_backup.backups b WHERE b.id = wanted) AND
     NOT EXISTS (SELECT 1 FROM galera_backup.backup_log l WHERE l.id = wanted) THEN
    CALL galera_backup.fail(3005, CONCAT('not_found: there is no backup ', IFNULL(LEFT(wanted, 64), 'at all'), '; do: CALL galera_backup.BACKUP_LIST(NULL)'));
  END IF;
  SELECT l.at, l.stage, l.level, l.message FROM galera_backup.backup_log l WHERE l.id = wanted ORDER BY l.seq;
END//

DELIMITER ;

GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_START TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_STATUS TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_CANCEL TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_SET TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_LIST TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_CHECK TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_LOG TO galera_backup_operator;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_STATUS TO galera_backup_monitor;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_LIST TO galera_backup_monitor;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_CHECK TO galera_backup_monitor;
GRANT EXECUTE ON PROCEDURE galera_backup.BACKUP_LOG TO galera_backup_monitor;

SET SESSION sql_mode = @gb_old_mode;
