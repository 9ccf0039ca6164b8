# Modules with compiled code, children, sockets, locales.
perl -e '
use strict; use warnings;
use POSIX (); use Socket; use List::Util "sum"; use Storable "dclone"; use Time::HiRes "usleep";
use Digest::SHA "sha256_hex"; use Encode; use Data::Dumper; use Fcntl; use IO::Handle;
print sum(1 .. 100), " ", sha256_hex("text"), " ", POSIX::strtol("ff", 16), "\n";
print scalar(@{dclone([1, [2, 3]])}), " ", length(encode("UTF-16", "gr\x{fc}n")), "\n";
socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die;
my $pid = fork // die;
if (!$pid) { syswrite $a, "from the child"; POSIX::_exit(7) }
sysread $b, my $text, 100; waitpid $pid, 0; print "$text ", $? >> 8, "\n";
print join(":", (getpwnam "root")[0, 2, 7]), " ", scalar(getgrgid 0), "\n";
print `echo shell`, system("exit 3") >> 8, "\n";
local $SIG{ALRM} = sub { print "alarm\n" }; Time::HiRes::ualarm(20000); select undef, undef, undef, 0.2;
print "matched $1\n" if "some text" =~ /(\w+)$/; print sort({ $a cmp $b } qw(c a b)), "\n";
eval { require No::Such::Module }; print substr($@, 0, 30), "\n";
'
perl -MConfig -e 'print "threads $Config{useithreads}\n";
use threads; my @t = map { my $i = $_; threads->create(sub { $i * $i }) } 1 .. 20; print join(" ", map { $_->join } @t), "\n"'
perl -e 'exit 9' || echo $?
