# Every module that has compiled code, first in its process.
roots=$(perl -MConfig -e 'print join " ", grep { -d } map { "$_/auto" } "$Config{archlib}", "/usr/lib/x86_64-linux-gnu/perl-base"')
for root in $roots; do (cd "$root"; find . -name '*.so' -printf '%P\n'); done | sort -u >objects
while read -r object; do
    module=${object%/*}; module=${module//\//::}
    L perl -e 'my $m = shift; no warnings; print "$m ", (eval "require $m; 1" ? "ok" : "fails"), "\n"' "$module" 2>/dev/null || echo "$module: status $?"
done <objects
# And all in one. Some refuse company.
L perl -e 'for (<>) { chomp; s{/[^/]*$}{}; s{/}{::}g; no warnings; print eval "require $_; 1" ? "." : "($_)" } print "\n"' objects 2>/dev/null
cat >work.pl <<'PL'
use strict; use warnings;
use List::Util qw(sum reduce shuffle first); use Scalar::Util qw(blessed weaken dualvar);
use POSIX qw(floor strftime setlocale LC_ALL :sys_wait_h); use Socket; use Storable qw(freeze thaw dclone);
use Digest::MD5 qw(md5_hex); use Digest::SHA qw(sha256_hex); use Encode; use Time::HiRes qw(time usleep);
use Data::Dumper; use B; use MIME::Base64; use Fcntl qw(:flock); use IO::Socket::INET; use Sys::Hostname;
use Unicode::Normalize; use Math::BigInt; use Compress::Zlib; use File::Glob ':bsd_glob'; use Hash::Util qw(lock_keys);
print sum(1 .. 10), " ", (reduce { $a * $b } 1 .. 10), " ", first { $_ > 3 } 1 .. 9; print "\n";
print floor(-2.5), " ", strftime("%Y-%m-%d", gmtime 0), " ", POSIX::strtol("ff", 16), "\n";
print inet_ntoa(inet_aton("127.0.0.1")), "\n";
my $copy = thaw freeze { a => [1, 2, { b => 3 }] }; print $copy->{a}[2]{b}, "\n";
print md5_hex("x"), " ", sha256_hex("x"), "\n";
print length(encode("UTF-16", "h\x{e9}llo")), " ", length(decode("shiftjis", "\x82\xa0\x82\xa2")), " ",
    encode("utf8", decode("euc-jp", "\xa4\xa2")) eq "\xe3\x81\x82" ? "same" : "other", "\n";
my $start = time; usleep 1000; print time > $start ? "later\n" : "not later\n";
$Data::Dumper::Sortkeys = 1; $Data::Dumper::Useqq = 1; print Dumper { a => [1, "two\n"], b => \"x" };
print B::svref_2object(\&List::Util::sum)->GV->NAME, " ", ref(B::main_cv()), "\n";
print NFD("\x{e9}") eq "e\x{301}" ? "decomposed\n" : "not\n";
print uncompress(compress("text" x 1000)) eq "text" x 1000 ? "zlib\n" : "not\n";
print Math::BigInt->new(2)->bpow(100), "\n";
my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die;
defined(my $child = fork) or die;
if (!$child) { my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die; print $c "hello\n"; exit 5 }
print readline $server->accept; waitpid $child, 0; print WEXITSTATUS($?), "\n";
print eval { require DynaLoader; DynaLoader::dl_load_file("./nothing.so") } // DynaLoader::dl_error(), "\n";
print defined(DynaLoader::dl_find_symbol_anywhere("nothing")) ? "found\n" : "no symbol\n";
PL
L perl work.pl
L perl -e 'use threads; use threads::shared; my $n :shared = 0; my @t = map { threads->create(sub { for (1 .. 100) { lock $n; $n++ } $_[0] ** 2 }, $_) } 1 .. 20; my $s = 0; $s += $_->join for @t; print "$n $s\n"'
if perl -MDB_File -e1 2>/dev/null; then
    L perl -MDB_File -e 'tie my %h, "DB_File", "t.db" or die; $h{$_} = $_ ** 2 for 1 .. 500; print scalar(keys %h), " $h{20}\n"'
fi
