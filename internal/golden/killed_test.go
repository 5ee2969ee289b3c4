package golden_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/runtimetest"
)

// killed is a case in the runtime in a process of its own, which is killed again and again and started on the state that it left. Its parent writes and reads the
// topics; what only the process knows is asked over its standard input and output, a line of JSON each way.
type killed struct {
	*terminal
	file    string // of the case
	address string // of the broker
	state   string // directory
	rng     *rand.Rand
	inStep  bool // kill while a step is being worked at, else between steps
	// uncounted says that not all drops are known: processes die before they have told theirs, or a global table's record came while none ran, which none counts.
	uncounted bool

	child *child         // nil between a kill and the next step
	known map[string]int // drops that the dead ones have reported
}

// question is what the parent asks.
type question struct {
	Settle bool   `json:",omitempty"` // wait until all is committed
	Query  *int   `json:",omitempty"` // the query of this step
	Rows   string `json:",omitempty"` // the contents of this store
}

// answer is what the process answers.
type answer struct {
	Error   string         `json:",omitempty"`
	Drops   map[string]int `json:",omitempty"`
	Entries []storeEntry   `json:",omitempty"`
}

// Environment of a child.
const (
	caseVariable    = "MILLRACE_GOLDEN_CASE"
	addressVariable = "MILLRACE_GOLDEN_BROKER"
	stateVariable   = "MILLRACE_GOLDEN_STATE"
)

// child is the process at present.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (m *killed) start() error {
	if m.child != nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), caseVariable+"="+m.file, addressVariable+"="+m.address, stateVariable+"="+m.state)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.child = &child{cmd: cmd, in: in, out: bufio.NewReader(out)}
	return nil
}

// kill ends the process as a crash would. Now and then the stores are lost with it.
func (m *killed) kill() error {
	if m.child == nil {
		return nil
	}
	err := m.child.cmd.Process.Kill()
	_ = m.child.cmd.Wait() // it says that the process was killed
	m.child = nil
	if m.rng.IntN(4) == 0 {
		err = errors.Join(err, os.RemoveAll(filepath.Join(m.state, "store")))
	}
	return err
}

// ask starts the process if need be, and waits for its answer.
func (m *killed) ask(q question) (a answer, err error) {
	if err := m.start(); err != nil {
		return a, err
	}
	line, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	if _, err := m.child.in.Write(append(line, '\n')); err != nil {
		return a, err
	}
	reply, err := m.child.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("the process has ended: %w", err)
	}
	if err := json.Unmarshal(reply, &a); err != nil {
		return a, fmt.Errorf("%s: %w", reply, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (m *killed) pipe(topic string, key, value []byte, ts int64, headers []runtimetest.Header) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if m.inStep { // it runs already
		if err := m.start(); err != nil {
			return err
		}
	}
	if err := m.produce(ctx, topic, key, value, ts, headers); err != nil {
		return err
	}
	if m.inStep {
		<-time.After(time.Duration(m.rng.IntN(int(stepTime)))) // nothing hangs on it but where the kill strikes
		if err := m.kill(); err != nil {
			return err
		}
	}
	_, err := m.ask(question{Settle: true})
	return err
}

// stepTime is about what a process takes to start and to work at a step.
const stepTime = 100 * time.Millisecond

func (m *killed) advance(time.Duration) error { return nil }

func (m *killed) drops() (map[string]int, bool) {
	if m.uncounted {
		return nil, false
	}
	all := map[string]int{}
	for k, n := range m.known {
		all[k] = n
	}
	if m.child != nil {
		if a, err := m.ask(question{}); err == nil {
			for k, n := range a.Drops {
				all[k] += n
			}
		}
	}
	return all, true
}

func (m *killed) query(_ *interpreter, i int) ([]storeEntry, error) {
	if _, err := m.ask(question{Settle: true}); err != nil { // it may have to start first
		return nil, err
	}
	a, err := m.ask(question{Query: &i})
	return a.Entries, err
}

func (m *killed) rows(_ *interpreter, store string) ([]storeEntry, error) {
	if _, err := m.ask(question{Settle: true}); err != nil {
		return nil, err
	}
	a, err := m.ask(question{Rows: store})
	return a.Entries, err
}

func (m *killed) interrupt(int) error {
	if m.inStep {
		return nil
	}
	m.known, _ = m.drops()
	return m.kill()
}

// runChild is the process. It ends with its standard input.
func runChild() error {
	c, err := readCase(os.Getenv(caseVariable))
	if err != nil {
		return err
	}
	in, reason := interpret(c)
	if reason != "" {
		return errors.New(reason)
	}
	topo, err := in.b.Build()
	if err != nil {
		return err
	}
	address := os.Getenv(addressVariable)
	m, err := newApplication(in, topo, runtime.Config{Brokers: []string{address}, StateDir: os.Getenv(stateVariable)}, []kgo.Opt{kgo.SeedBrokers(address)})
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		reply, err := json.Marshal(in.answer(m, q))
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(append(reply, '\n')); err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), m.close())
}

func (in *interpreter) answer(m *application, q question) (a answer) {
	var err error
	switch {
	case q.Settle:
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = m.settle(ctx)
	case q.Query != nil:
		a.Entries, err = in.query(m, *q.Query)
	case q.Rows != "":
		a.Entries, err = in.rows(m, q.Rows)
	}
	if err != nil {
		a.Error = err.Error()
	}
	a.Drops, _ = m.drops()
	return a
}
