package hostiletest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// crowdVariable tells the test's program that it is to be the hostile clients, and where they go: "ADDRESS IDLERS SEED". They are a process of their own, so that what they
// do does not hold up those at work, and the system gives it the processor only when nobody else wants it: other people's machines would not take ours.
const crowdVariable = "MILLRACE_HOSTILE_CROWD"

// crowd is the hostile clients. Their connections end with the process.
type crowd struct {
	address string
	conns   []net.Conn // kept, so that the collector does not close them
}

// crowdMain is the process of the crowd: it writes a line when all have connected, and ends when nothing more can be read from the standard input.
func crowdMain(spec string) error {
	var c crowd
	var idlers int
	var seed uint64
	if _, err := fmt.Sscan(spec, &c.address, &idlers, &seed); err != nil {
		return fmt.Errorf("%s=%q: %w", crowdVariable, spec, err)
	}
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19); err != nil {
		return err
	}
	if err := errors.Join(c.idle(idlers), c.halve(halves), c.mute(mutes, "bulk")); err != nil {
		return err
	}
	c.babble(babblers, seed)
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// gather starts the crowd and returns what ends it.
func gather(t *testing.T, address string, idlers int, seed uint64) (leave func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", crowdVariable, address, idlers, seed))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // one that has ended does not mind
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		_ = cmd.Wait() // what is wrong it has told
		t.Fatalf("the hostile clients say %q (%v)", line, err)
	}
	return func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the hostile clients: %v", err)
		}
	}
}

func (c *crowd) dial() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", c.address, time.Minute)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

// greeting is ApiVersions, version 0, without a client id.
var greeting = []byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff}

// idle connects, asks what is served, and says nothing more.
func (c *crowd) idle(n int) error {
	for i := range n {
		conn, err := c.dial()
		if err == nil {
			_, err = conn.Write(greeting)
		}
		var head [4]byte
		if err == nil {
			_, err = io.ReadFull(conn, head[:])
		}
		if err == nil {
			_, err = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[:])))
		}
		if err != nil {
			return fmt.Errorf("idle client %d of %d: %w", i, n, err)
		}
	}
	return nil
}

// halve sends the length of a large frame and its first bytes.
func (c *crowd) halve(n int) error {
	const length, sent = 64 << 20, 40 << 10
	frame := binary.BigEndian.AppendUint32(nil, length)
	frame = append(frame, make([]byte, sent)...) // a Produce request, as far as the server can tell
	for i := range n {
		conn, err := c.dial()
		if err == nil {
			_, err = conn.Write(frame)
		}
		if err != nil {
			return fmt.Errorf("half a frame, client %d: %w", i, err)
		}
	}
	return nil
}

// mute asks for all records of a topic, several times, and reads no answer.
func (c *crowd) mute(n int, topic string) error {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(4)
	req.MaxBytes = bulk
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = bulk
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	for i := range n {
		conn, err := c.dial()
		for range 4 {
			if err == nil {
				_, err = conn.Write(frame)
			}
		}
		if err != nil {
			return fmt.Errorf("mute client %d: %w", i, err)
		}
	}
	return nil
}

// babble sends garbage on one connection after the other, each babbler at a time of its own, as long as the process lives.
func (c *crowd) babble(n int, seed uint64) {
	for i := range n {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		go func() {
			garbage := make([]byte, 4<<10)
			<-time.After(babblePace * time.Duration(i) / time.Duration(n))
			for range time.Tick(babblePace) {
				conn, err := net.DialTimeout("tcp", c.address, time.Minute)
				if err != nil {
					continue
				}
				for j := range garbage {
					garbage[j] = byte(rng.Uint32())
				}
				if rng.IntN(2) == 0 { // a length that holds: the garbage gets as far as the decoders
					binary.BigEndian.PutUint32(garbage, uint32(len(garbage)-4))
					garbage[4], garbage[6] = 0, 0
				}
				_ = conn.SetDeadline(time.Now().Add(time.Second))
				_, _ = conn.Write(garbage) // the server may close at any byte
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}
		}()
	}
}
