package losstest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-io/millrace/internal/proctest"
)

const (
	diskBytes = 1 << 30 // of the image; it takes only what is written
	// weakerShare is the share of the rounds that a flush mode gets in which a power loss may take something.
	weakerShare = 5

	// fsShutdown is the request that makes a file system forget what it has not written (FS_IOC_SHUTDOWN), and noLogFlush has it forget its journal's tail too.
	fsShutdown = 0x8004587D
	noLogFlush = 2
)

// disk is an ext4 file system of the test's own, in a file, that can be made to behave as at a power loss.
type disk struct {
	t     *testing.T
	image string
	mount string
}

// newDisk makes and mounts a disk, or skips the test and says why that is not possible here.
func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a power loss needs a file system of its own, and to mount it one must be root")
	}
	dir := t.TempDir()
	d := &disk{t: t, image: filepath.Join(dir, "image"), mount: filepath.Join(dir, "mount")}
	f, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(diskBytes), f.Close(), os.Mkdir(d.mount, 0o755)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("a power loss needs mkfs.ext4, and here it says: %v %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mount).CombinedOutput(); err != nil {
		t.Skipf("a power loss needs a loop device, and here mount says: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "--lazy", d.mount).Run() })
	return d
}

// dir is where a server keeps its data.
func (d *disk) dir() string { return filepath.Join(d.mount, "data") }

// cut takes the power away: from now on nothing reaches the disk, and every write and flush fails.
func (d *disk) cut() {
	d.t.Helper()
	f, err := os.Open(d.mount)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	switch err := unix.IoctlSetPointerInt(int(f.Fd()), fsShutdown, noLogFlush); {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTTY), errors.Is(err, syscall.EOPNOTSUPP):
		d.t.Skipf("a power loss needs the file system's shutdown, and here it says: %v", err)
	case err != nil:
		d.t.Fatal(err)
	}
}

// restore mounts what is left. Nobody may have a file open any more.
func (d *disk) restore() {
	d.t.Helper()
	for _, args := range [][]string{{"umount", d.mount}, {"mount", "-o", "loop", d.image, d.mount}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			d.t.Fatalf("%s: %v %s", strings.Join(args, " "), err, out)
		}
	}
}

// lose takes the power away from a server, a random time after it was seen at work, and brings the disk back.
func (d *disk) lose(rng *rand.Rand, server *proctest.Process) {
	d.t.Helper()
	moment(rng, killWithin, server)
	// The server goes at the same instant as its disk. Left running, it may be told by the dying file system that a flush had succeeded (seen with linux 6.18).
	server.Freeze(d.t)
	d.cut()
	server.Kill()
	d.restore()
}

func powerRounds(t *testing.T) int {
	t.Helper()
	n := rounds(t, "MILLRACE_POWER_ROUNDS", 0)
	if n == 0 {
		t.Skip("mounts a file system; MILLRACE_POWER_ROUNDS says how often its power is taken away")
	}
	return n
}

func TestPowerLossTakesNothingThatWasFlushed(t *testing.T) { // L1-L4, G3, G4, T1-T4, T6, T7, T9
	n := powerRounds(t)
	rng := newRand(t)
	d := newDisk(t)
	server, summary := outlive(t, n, d.dir(), "always", rng, func(server *proctest.Process, _ string) { d.lose(rng, server) })
	server.Kill() // before its disk goes
	t.Logf("%d power losses: %s", n, summary)
}

// TestPowerLossLeavesAPrefix: without a flush before the acknowledgement the tail of any log may go, and no more than that. Each round has clients and topics of its own:
// who wrote what is lost has to begin anew.
func TestPowerLossLeavesAPrefix(t *testing.T) { // L2-L4
	n := max(powerRounds(t)/weakerShare, 1)
	for _, flush := range []string{"interval", "os"} {
		t.Run("flush="+flush, func(t *testing.T) { prefixRounds(t, n, flush) })
	}
}

func prefixRounds(t *testing.T, n int, flush string) {
	rng := newRand(t)
	d := newDisk(t)
	more := append(flags(flush), "--set", "log.flush.scheduler.interval.ms=200")
	server, addr := proctest.Broker(t, d.dir(), "", more...)
	var lost, acks int64
	for round := range n {
		l := newLedger(t, fmt.Sprint("-", round))
		createTopics(t, l, addr)
		w := startLoad(l, addr, rng)
		l.awaitStep(w.names)
		if rng.IntN(2) == 0 {
			server.WaitFor(time.Duration(rng.Int64N(int64(2 * time.Second)))) // so that something is flushed
		}
		d.lose(rng, server)
		lacks(t, server, "panic") // a coordinator that has lost its log complains of what others have kept
		w.stop()
		server, _ = proctest.Broker(t, d.dir(), addr, more...)
		a := newAuditor(l, addr)
		a.lost = true
		a.run()
		gone, of := a.missing()
		lost, acks = lost+gone, acks+of
		if t.Failed() {
			t.Fatalf("round %d; the server wrote:\n%s", round, server.Stderr)
		}
	}
	server.Kill() // before its disk goes
	t.Logf("%d power losses with flush=%s: %d of %d records known to clients were lost", n, flush, lost, acks)
}
