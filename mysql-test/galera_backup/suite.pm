package My::Suite::GaleraBackup;

# One server. mysql-test/run sets the environment.

@ISA = qw(My::Suite);

return "start it by mysql-test/run" unless $ENV{GB_BUILD};

push @::global_suppressions,
  (
    # what a backup writes to the error log; the tests look at what callers see
    qr(galera_backup: ),
    qr(Plugin 'galera_backup' is of maturity level),
  );

sub skip_combinations {
  my %skip;
  $skip{'include/gb_need_root.inc'} = 'needs root' if $>;
  %skip;
}

bless { };
