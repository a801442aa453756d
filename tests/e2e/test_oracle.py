#!/usr/bin/python3
"""The oracle that all campaigns ask: a restored server is alike, and each kind of thing that is then changed in it is named."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'lib'))
from gbtest import backups, oracle, restored  # noqa: E402
from gbtest.agent import Agent  # noqa: E402
from gbtest.server import Server, query  # noqa: E402
from gbtest.suite import Shared, Suite, say  # noqa: E402

THINGS = '''
CREATE DATABASE d; CREATE DATABASE empty_one; CREATE DATABASE worded COMMENT 'one';
CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40)) ENGINE=InnoDB;
INSERT INTO d.t (v) VALUES ('a'), ('b'), ('c');
CREATE TABLE d.counted (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB AUTO_INCREMENT=5000;
CREATE TABLE d.counted_my (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=MyISAM AUTO_INCREMENT=5000;
CREATE TABLE d.my (id INT) ENGINE=MyISAM; INSERT INTO d.my VALUES (1), (2);
CREATE TABLE d.versioned (id INT PRIMARY KEY, n INT) ENGINE=InnoDB WITH SYSTEM VERSIONING;
CREATE TABLE d.named (id INT, b TIMESTAMP(6) AS ROW START, e TIMESTAMP(6) AS ROW END, PERIOD FOR SYSTEM_TIME (b, e)) ENGINE=InnoDB WITH SYSTEM VERSIONING;
INSERT INTO d.versioned VALUES (1, 1), (2, 2); UPDATE d.versioned SET n = n + 1; INSERT INTO d.named (id) VALUES (1); DELETE FROM d.named;
CREATE SEQUENCE d.numbers START WITH 100 CACHE 10; DO NEXT VALUE FOR d.numbers;
CREATE VIEW d.seen AS SELECT id FROM d.t; CREATE DEFINER=root@localhost VIEW d.owned AS SELECT v FROM d.t;
CREATE TRIGGER d.one BEFORE INSERT ON d.t FOR EACH ROW SET NEW.v = 'x'; CREATE TRIGGER d.two BEFORE INSERT ON d.t FOR EACH ROW SET NEW.v = 'y';
CREATE PROCEDURE d.hello() SELECT 1; CREATE FUNCTION d.answer() RETURNS INT DETERMINISTIC RETURN 42;
CREATE EVENT d.nightly ON SCHEDULE EVERY 1 DAY DO DO 1; CREATE EVENT d.gone ON SCHEDULE EVERY 1 DAY DO DO 1;
CREATE USER reader@localhost IDENTIFIED BY 'secret'; CREATE ROLE staff; GRANT SELECT ON d.* TO reader@localhost;
SET GLOBAL gtid_slave_pos = '7-8-9'
'''

# what is done to the restored server, and what the oracle must name, and nothing else
CHANGED = [
    ('UPDATE d.my SET id = 3 WHERE id = 2', ['rows of d.my']),
    ('ALTER TABLE d.counted COMMENT "changed", ALGORITHM=INSTANT', ['definition of d.counted']),
    ('CREATE TABLE d.more (id INT) ENGINE=InnoDB', ['definition of d.more', 'rows of d.more']),
    ('DROP DATABASE empty_one', ['database empty_one']),
    ('ALTER DATABASE worded COMMENT "two"', ['database worded']),
    ('ALTER VIEW d.seen AS SELECT id + 1 AS id FROM d.t', ['view d.seen']),
    ('ALTER DEFINER=reader@localhost VIEW d.owned AS SELECT v FROM d.t', ['view d.owned']),
    ('DO NEXT VALUE FOR d.numbers', ['next value of d.numbers']),
    ('TRUNCATE TABLE d.counted', ['AUTO_INCREMENT of d.counted']),
    ('ALTER TABLE d.counted_my AUTO_INCREMENT=1', ['AUTO_INCREMENT of d.counted_my']),
    ('ALTER TABLE d.t AUTO_INCREMENT=9000', ['AUTO_INCREMENT of d.t']),
    ('DELETE HISTORY FROM d.versioned', ['rows of d.versioned', 'history of d.versioned']),
    ('DELETE HISTORY FROM d.named', ['rows of d.named', 'history of d.named']),
    ('CREATE OR REPLACE TRIGGER d.one BEFORE INSERT ON d.t FOR EACH ROW SET NEW.v = "z"', ['trigger one of d.t', 'trigger two of d.t']),
    ('ALTER PROCEDURE d.hello SQL SECURITY INVOKER', ['procedure d.hello', 'rows of mysql.proc']),
    ('ALTER EVENT d.nightly DISABLE', ['event d.nightly', 'rows of mysql.event']),
    ('GRANT INSERT ON d.* TO reader@localhost', ['grants of `reader`@`localhost`', 'rows of mysql.db']),
    ('SET GLOBAL gtid_slave_pos = "7-8-10"', ['position gtid_slave_pos', 'rows of mysql.gtid_slave_pos']),
]
LOST = [
    ('DROP TABLE d.my', ['definition of d.my', 'rows of d.my']),
    ('DROP TRIGGER d.two', ['trigger one of d.t', 'trigger two of d.t']),
    ('DROP FUNCTION d.answer', ['function d.answer', 'rows of mysql.proc']),
    ('DROP EVENT d.gone', ['event d.gone', 'rows of mysql.event']),
    ('SET PASSWORD FOR reader@localhost = PASSWORD("other")', ['grants of `reader`@`localhost`', 'rows of mysql.global_priv']),
    ('DROP ROLE staff', ['grants of `staff`', 'rows of mysql.global_priv', 'rows of mysql.roles_mapping', 'grants of `root`@`localhost`']),
]

suite = Suite()


class Scene:
    def __init__(self):
        self.server = Server('source', {'log-bin': 'binlog', 'server-id': '7'})
        self.server.create()
        self.server.start()
        agent = Agent(self.server).start()
        backups.install(self.server)
        self.server.execute(*[sql for sql in THINGS.replace('\n', ' ').split('; ') if sql.strip()])
        figures, self.state = oracle.backup(self.server)
        self.back = restored.Restored(agent, figures['id'])
        self.back.start()
        self.before = oracle.take(self.back.server)


shared = Shared(Scene)


@suite.test
def a_restored_server_is_alike():
    s = shared()
    say(f'  {oracle.compare(s.state, s.back.server, s.back.info)} things')


def named(changes):
    s = shared()
    s.back.server.execute(*(statement for statement, _ in changes))
    now = oracle.take(s.back.server)
    found = {text.split(': ')[0] for text in oracle.differences(s.before, now)}
    s.before = now
    missing = [statement for statement, words in changes if not found.issuperset(words)]
    assert not missing, f'not seen: {missing}; of these {found} are named'
    assert found == {word for _, words in changes for word in words}, f'{sorted(found)} are named'


suite.add('each_change_is_named', named, CHANGED)
suite.add('each_loss_is_named', named, LOST)


@suite.test
def all_of_it_fails_the_comparison_and_so_does_a_position():
    s = shared()
    try:
        oracle.compare(s.state, s.back.server, {**s.back.info, 'binlog_pos': '4'})
    except AssertionError as error:
        assert 'position binary log' in str(error), error
        say(f'  {str(error)[:200]}...')
    else:
        raise AssertionError('nothing was found')


@suite.test
def a_kept_table_is_left_out_and_no_other():
    s = shared()
    other = oracle.take(s.server)
    session = s.server.connect()
    query(session, 'LOCK TABLES d.t WRITE')
    state = oracle.take(s.server)
    session.close()
    assert {'d.t'} <= oracle.kept(state) <= {'d.t', 'd.one', 'd.two', 'd.seen', 'd.owned'}, oracle.kept(state)
    other['rows of', 'd.t'] = 0
    assert not oracle.differences(state, other), oracle.differences(state, other)
    other['rows of', 'd.my'] = 0
    assert any('rows of d.my' in text for text in oracle.differences(state, other))


@suite.test
def a_table_that_cannot_be_read_is_a_difference():
    s = shared()
    s.server.execute('FLUSH TABLES')
    os.remove(os.path.join(s.server.datadir, 'd', 'my.MYD'))
    state = oracle.take(s.server)
    assert any('rows of d.my' in text for text in oracle.differences(state, dict(state))), state['rows of', 'd.my']


suite.main()
