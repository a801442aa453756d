"""One of everything that a server can hold, small: schema kinds and those beside it. Loads that write into it are in load.py.

    server.execute(*kinds.statements())
"""
ROWS = 800  # of most tables
ZIPPED = (1, 2, 4, 8, 16)  # KEY_BLOCK_SIZE, KiB; not above the page size, and of no pages above 16 KiB
NAMES = ('täble/x', 'dot.dot', '.hidden', "quo'te\"d", 'back`tick', 'back\\slash', 'semi;colon', 'percent%s', '#sql-not', 'a#P#p0',
         'CON', 'new\nline', 'UPPER', 'sp ace', '~tilde', 'lost+found', '$dollar', '@at', '名' * 49, 'x' * 64)

EVERYTHING = '''
CREATE DATABASE kinds;
CREATE TABLE kinds.plain (id INT PRIMARY KEY, v VARCHAR(60) CHARACTER SET latin1, KEY (v)) ENGINE=InnoDB;
INSERT INTO kinds.plain SELECT seq, MD5(seq) FROM seq_1_to_{rows};
CREATE TABLE kinds.instant LIKE kinds.plain;
INSERT INTO kinds.instant SELECT * FROM kinds.plain;
ALTER TABLE kinds.instant ADD COLUMN n INT NOT NULL DEFAULT 7 FIRST, ALGORITHM=INSTANT;
CREATE TABLE kinds.parts (id INT PRIMARY KEY, v VARCHAR(60)) ENGINE=InnoDB PARTITION BY HASH (id) PARTITIONS 4;
INSERT INTO kinds.parts SELECT * FROM kinds.plain;
CREATE TABLE kinds.subparts (id INT PRIMARY KEY, v VARCHAR(60)) ENGINE=InnoDB PARTITION BY RANGE (id) SUBPARTITION BY HASH (id) SUBPARTITIONS 2
 (PARTITION `p#1` VALUES LESS THAN (300), PARTITION `größer` VALUES LESS THAN MAXVALUE);
INSERT INTO kinds.subparts SELECT * FROM kinds.plain;
CREATE TABLE kinds.parts_my (id INT PRIMARY KEY, v VARCHAR(60)) ENGINE=MyISAM PARTITION BY KEY (id) PARTITIONS 3;
INSERT INTO kinds.parts_my SELECT * FROM kinds.plain;
CREATE TABLE kinds.words (id INT PRIMARY KEY, v TEXT, FULLTEXT KEY (v)) ENGINE=InnoDB;
INSERT INTO kinds.words SELECT seq, CONCAT('word', seq, ' common') FROM seq_1_to_500;
DELETE FROM kinds.words WHERE id > 480;
CREATE TABLE kinds.words_aria (id INT PRIMARY KEY, v TEXT, FULLTEXT KEY (v)) ENGINE=Aria;
INSERT INTO kinds.words_aria SELECT * FROM kinds.words;
CREATE TABLE kinds.places (id INT PRIMARY KEY, p POINT NOT NULL, SPATIAL KEY (p)) ENGINE=InnoDB;
INSERT INTO kinds.places SELECT seq, POINT(seq, seq * 7 % 100) FROM seq_1_to_500;
CREATE TABLE kinds.places_my ENGINE=MyISAM AS SELECT * FROM kinds.places;
ALTER TABLE kinds.places_my ADD SPATIAL KEY (p);
CREATE TABLE kinds.parent (id INT PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE kinds.child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES kinds.parent (id)) ENGINE=InnoDB;
INSERT INTO kinds.parent SELECT seq FROM seq_1_to_50;
INSERT INTO kinds.child SELECT seq, 1 + seq % 50 FROM seq_1_to_500;
CREATE TABLE kinds.blobs (id INT PRIMARY KEY, b LONGBLOB, g INT AS (id * 2) STORED, w INT AS (id + 1) VIRTUAL, KEY (w)) ENGINE=InnoDB;
INSERT INTO kinds.blobs (id, b) SELECT seq, REPEAT(MD5(seq), 2000) FROM seq_1_to_60;
CREATE TABLE kinds.counted (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(60)) ENGINE=InnoDB AUTO_INCREMENT=7000;
INSERT INTO kinds.counted (v) VALUES ('a'), ('b');
DELETE FROM kinds.counted;
CREATE TABLE kinds.versioned (id INT PRIMARY KEY, n INT) ENGINE=InnoDB WITH SYSTEM VERSIONING;
INSERT INTO kinds.versioned SELECT seq, 0 FROM seq_1_to_100;
UPDATE kinds.versioned SET n = n + 1;
CREATE TABLE kinds.versioned_parts (id INT) ENGINE=InnoDB WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME (PARTITION old HISTORY, PARTITION now CURRENT);
INSERT INTO kinds.versioned_parts SELECT seq FROM seq_1_to_50;
DELETE FROM kinds.versioned_parts WHERE id % 2;
CREATE TABLE kinds.versioned_aria (id INT) ENGINE=Aria WITH SYSTEM VERSIONING;
INSERT INTO kinds.versioned_aria SELECT seq FROM seq_1_to_50;
DELETE FROM kinds.versioned_aria WHERE id % 2;
CREATE TABLE kinds.myisam (id INT PRIMARY KEY, v VARCHAR(60)) ENGINE=MyISAM;
INSERT INTO kinds.myisam SELECT * FROM kinds.plain;
CREATE TABLE kinds.myisam_fixed (id INT PRIMARY KEY, v CHAR(60)) ENGINE=MyISAM ROW_FORMAT=FIXED CHECKSUM=1 DELAY_KEY_WRITE=1;
INSERT INTO kinds.myisam_fixed SELECT * FROM kinds.plain;
CREATE TABLE kinds.merged (id INT NOT NULL, v VARCHAR(60), PRIMARY KEY (id)) ENGINE=MERGE UNION=(kinds.myisam);
CREATE TABLE kinds.aria (id INT PRIMARY KEY, v VARCHAR(60)) ENGINE=Aria TRANSACTIONAL=1;
INSERT INTO kinds.aria SELECT * FROM kinds.plain;
CREATE TABLE kinds.aria_plain (id INT PRIMARY KEY, v VARCHAR(60)) ENGINE=Aria TRANSACTIONAL=0;
INSERT INTO kinds.aria_plain SELECT * FROM kinds.plain;
CREATE TABLE kinds.aria_dynamic (id INT PRIMARY KEY, v VARCHAR(60)) ENGINE=Aria TRANSACTIONAL=0 ROW_FORMAT=DYNAMIC;
INSERT INTO kinds.aria_dynamic SELECT * FROM kinds.plain;
CREATE TABLE kinds.csv (id INT NOT NULL, v VARCHAR(60) NOT NULL) ENGINE=CSV;
INSERT INTO kinds.csv SELECT seq, 'csv' FROM seq_1_to_100;
CREATE TABLE kinds.archive (id INT, v VARCHAR(60)) ENGINE=ARCHIVE;
INSERT INTO kinds.archive SELECT * FROM kinds.plain;
CREATE TABLE kinds.hole (id INT) ENGINE=BLACKHOLE;
CREATE TABLE kinds.memory (id INT) ENGINE=MEMORY;
CREATE SEQUENCE kinds.numbers START WITH 100 ENGINE=InnoDB;
CREATE SEQUENCE kinds.numbers_my START WITH 100 ENGINE=MyISAM;
CREATE SEQUENCE kinds.numbers_aria START WITH 100 ENGINE=Aria;
DO NEXT VALUE FOR kinds.numbers, NEXT VALUE FOR kinds.numbers_my, NEXT VALUE FOR kinds.numbers_aria;
CREATE VIEW kinds.seen AS SELECT id, v FROM kinds.plain WHERE id < 10;
CREATE TRIGGER kinds.before_insert BEFORE INSERT ON kinds.parent FOR EACH ROW SET NEW.id = NEW.id + 1000;
CREATE PROCEDURE kinds.hello() SELECT 'hello';
CREATE FUNCTION kinds.answer() RETURNS INT DETERMINISTIC RETURN 42;
CREATE EVENT kinds.nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM kinds.plain WHERE id < 0;
CREATE EVENT kinds.never ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM kinds.plain WHERE id < 0;
CREATE DATABASE empty_one COMMENT 'empty' COLLATE utf8mb4_bin;
CREATE USER reader@localhost IDENTIFIED BY 'secret';
CREATE ROLE staff;
GRANT SELECT ON kinds.* TO staff;
GRANT staff TO reader@localhost;
GRANT SELECT ON kinds.* TO reader@localhost
'''


def formats(page_size=16384, key=0):
    """{table: clause} of InnoDB's row formats and attributes that go with that page size; encrypted with that key."""
    found = {'dynamic': 'ROW_FORMAT=DYNAMIC', 'compact': 'ROW_FORMAT=COMPACT', 'redundant': 'ROW_FORMAT=REDUNDANT',
             'page_compressed': 'PAGE_COMPRESSED=1'}
    for size in ZIPPED:
        if size * 1024 <= page_size <= 16384:
            found[f'zipped_{size}k'] = f'ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE={size}'
    if key:
        found['sealed'] = f'ENCRYPTED=YES ENCRYPTION_KEY_ID={key}'
        found['open'] = 'ENCRYPTED=NO'
        found['sealed_page_compressed'] = 'ENCRYPTED=YES PAGE_COMPRESSED=1'
        if page_size <= 16384:
            found['sealed_zipped'] = 'ENCRYPTED=YES ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=2'
    return found


def quoted(name):
    return '`' + name.replace('`', '``') + '`'


def awkward():
    """Names of tables, each in a schema of the same name, beside one another, and partitioned."""
    for number, name in enumerate(NAMES):
        schema = quoted(name)
        yield f'CREATE DATABASE {schema}'
        yield f'CREATE TABLE {schema}.{schema} (id INT PRIMARY KEY) ENGINE=InnoDB'
        yield f'INSERT INTO {schema}.{schema} VALUES ({number})'
        engine = ('MyISAM', 'Aria', 'InnoDB PARTITION BY HASH (id) PARTITIONS 2')[number % 3]
        if len(name) < 40:
            yield f'CREATE TABLE {schema}.{quoted(name + "2")} (id INT PRIMARY KEY) ENGINE={engine}'
            yield f'INSERT INTO {schema}.{quoted(name + "2")} VALUES ({number}), ({number + 1})'
            yield f'CREATE TRIGGER {schema}.{quoted(name + "3")} BEFORE INSERT ON {schema}.{schema} FOR EACH ROW SET NEW.id = NEW.id + 1'
            yield f'CREATE VIEW {schema}.{quoted(name + "4")} AS SELECT * FROM {schema}.{schema}'


def statements(page_size=16384, key=0):
    yield from (sql for sql in EVERYTHING.format(rows=ROWS).split(';\n') if sql.strip())
    for table, clause in formats(page_size, key).items():
        yield f'CREATE TABLE kinds.{table} (id INT PRIMARY KEY, v VARCHAR(60) CHARACTER SET latin1, KEY (v)) ENGINE=InnoDB {clause}'
        yield f'INSERT INTO kinds.{table} SELECT * FROM kinds.plain'
    yield from awkward()
