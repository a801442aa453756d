package My::Suite::GaleraBackupCluster;

# Two Galera nodes; only the second has the plugin.
@ISA = qw(My::Suite);
use lib '/usr/share/mysql/mysql-test/suite';
use wsrep::common;
return "run it with mysql-test/run" unless $ENV{GB_RUN};
return wsrep_not_ok() if wsrep_not_ok();
push @::global_suppressions, (qr(WSREP:), qr(galera_backup), qr(is of maturity level));
bless { };
