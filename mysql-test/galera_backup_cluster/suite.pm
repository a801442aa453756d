package My::Suite::GaleraBackupCluster;

# Three Galera nodes. mysql-test/run sets the environment.

use lib 'suite';
use wsrep::common;

@ISA = qw(My::Suite);

return "start it by mysql-test/run" unless $ENV{GB_BUILD};
return wsrep_not_ok() if wsrep_not_ok();

push @::global_suppressions,
  (
    # what Galera and a backup write to the error log; the tests look at what callers see
    qr(WSREP: ),
    qr(galera_backup: ),
    qr(Plugin 'galera_backup' is of maturity level),
  );

bless { };
