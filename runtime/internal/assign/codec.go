package assign

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/internal/topology"
)

// Claim is what a member tells when it joins: user data of its subscription.
type Claim struct {
	Process         string // the process, which keeps its id in the state directory
	TransactionalID string // of this member; see TransactionalID
	Fingerprint     string // of its topology
	Generation      int32  // of the last grant, -1 before the first
	Owned           []topology.TaskID
	Former          map[topology.TaskID][]string // from the last grant
}

// Grant is what the leader answers: user data of the assignment.
type Grant struct {
	Generation int32
	Refused    string // why this member gets nothing; empty otherwise
	Tasks      []topology.TaskID
	Withheld   bool                         // tasks that the member claimed go to others once it joins without them
	Fence      []string                     // transactional ids to fence before the tasks' offsets are read
	Live       []string                     // transactional ids of all members
	Former     map[topology.TaskID][]string // who had each task, the latest first
	Settled    bool                         // every task is granted to somebody: none is withheld
}

// TransactionalID returns the id of a worker's transactions. Application ids may contain dashes; process ids and numbers do not end it in another way.
func TransactionalID(app, process string, worker int) string {
	return fmt.Sprintf("%s-%s-%d", app, process, worker)
}

// processIDBytes is the length of a process id: a UUID in its text form.
const processIDBytes = 36

// ProcessOf returns the process id in a transactional id, "" when it is of another form.
func ProcessOf(transactionalID string) string {
	i := strings.LastIndexByte(transactionalID, '-')
	if i < processIDBytes {
		return ""
	}
	return transactionalID[i-processIDBytes : i]
}

// The bytes begin with a magic and a version. A member of a newer version that cannot be understood by older ones takes another number and is refused by them.
//
//	claim  = 'M' 'R' version(1) | process | transactional id | fingerprint | generation | tasks | former
//	grant  = 'M' 'R' version(1) | refused | generation | tasks | withheld, settled uvarint, 0 or 1 | strings fence | strings live | former
//	string = length uvarint | bytes          strings = count uvarint | { string }…
//	tasks  = count uvarint | { sub-topology uvarint | partition uvarint }…
//	former = strings table | count uvarint | { sub-topology | partition | count | { index into table }… }…
const (
	magic0, magic1 = 'M', 'R'
	codecVersion   = 1
)

var errShort = errors.New("the group's user data is cut off")

// Append appends the claim's bytes.
func (c *Claim) Append(dst []byte) []byte {
	dst = append(dst, magic0, magic1, codecVersion)
	dst = appendString(dst, c.Process)
	dst = appendString(dst, c.TransactionalID)
	dst = appendString(dst, c.Fingerprint)
	dst = binary.AppendVarint(dst, int64(c.Generation))
	dst = appendTasks(dst, c.Owned)
	return appendFormer(dst, c.Former)
}

// ParseClaim reads a claim.
func ParseClaim(b []byte) (Claim, error) {
	d, err := begin(b)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{Process: d.string(), TransactionalID: d.string(), Fingerprint: d.string(), Generation: int32(d.varint()), Owned: d.tasks(), Former: d.former()}
	return c, d.err
}

// Append appends the grant's bytes.
func (g *Grant) Append(dst []byte) []byte {
	dst = append(dst, magic0, magic1, codecVersion)
	dst = appendString(dst, g.Refused)
	dst = binary.AppendVarint(dst, int64(g.Generation))
	dst = appendTasks(dst, g.Tasks)
	dst = appendBool(dst, g.Withheld)
	dst = appendBool(dst, g.Settled)
	dst = appendStrings(dst, g.Fence)
	dst = appendStrings(dst, g.Live)
	return appendFormer(dst, g.Former)
}

// ParseGrant reads a grant.
func ParseGrant(b []byte) (Grant, error) {
	d, err := begin(b)
	if err != nil {
		return Grant{}, err
	}
	g := Grant{Refused: d.string(), Generation: int32(d.varint()), Tasks: d.tasks(), Withheld: d.uvarint() != 0, Settled: d.uvarint() != 0, Fence: d.strings(), Live: d.strings(), Former: d.former()}
	return g, d.err
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendStrings(dst []byte, all []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for _, s := range all {
		dst = appendString(dst, s)
	}
	return dst
}

func appendTask(dst []byte, t topology.TaskID) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(t.Subtopology)), uint64(t.Partition))
}

func appendTasks(dst []byte, tasks []topology.TaskID) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(tasks)))
	for _, t := range tasks {
		dst = appendTask(dst, t)
	}
	return dst
}

func appendFormer(dst []byte, former map[topology.TaskID][]string) []byte {
	tasks := sortedTasks(former)
	var table []string
	for _, t := range tasks {
		for _, id := range former[t] {
			if !slices.Contains(table, id) {
				table = append(table, id)
			}
		}
	}
	dst = appendStrings(dst, table)
	dst = binary.AppendUvarint(dst, uint64(len(tasks)))
	for _, t := range tasks {
		dst = appendTask(dst, t)
		dst = binary.AppendUvarint(dst, uint64(len(former[t])))
		for _, id := range former[t] {
			dst = binary.AppendUvarint(dst, uint64(slices.Index(table, id)))
		}
	}
	return dst
}

// decoder reads from b; the first fault sticks in err and everything after it is empty.
type decoder struct {
	b   []byte
	err error
}

func begin(b []byte) (*decoder, error) {
	if len(b) < 3 || b[0] != magic0 || b[1] != magic1 {
		return nil, errors.New("the group has a member that is not a Millrace application: its group id is this application's id")
	}
	if b[2] != codecVersion {
		return nil, fmt.Errorf("the group has a member of another version of Millrace (protocol %d, here %d): finish the upgrade or the downgrade of all instances", b[2], codecVersion)
	}
	return &decoder{b: b[3:]}, nil
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) fail() {
	d.b = nil
	if d.err == nil {
		d.err = errShort
	}
}

// count reads the number of things that take each bytes at least, so that a lie costs no memory.
func (d *decoder) count(each int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/each) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.count(1)
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) strings() []string {
	n := d.count(1)
	var all []string
	for range n {
		all = append(all, d.string())
	}
	return all
}

func (d *decoder) task() topology.TaskID {
	return topology.TaskID{Subtopology: int(d.uvarint()), Partition: int32(d.uvarint())}
}

func (d *decoder) tasks() []topology.TaskID {
	n := d.count(2)
	var all []topology.TaskID
	for range n {
		all = append(all, d.task())
	}
	return all
}

func (d *decoder) former() map[topology.TaskID][]string {
	table := d.strings()
	n := d.count(3)
	former := make(map[topology.TaskID][]string, n)
	for range n {
		t := d.task()
		var ids []string
		for range d.count(1) {
			i := d.uvarint()
			if i >= uint64(len(table)) {
				d.fail()
				return former
			}
			ids = append(ids, table[i])
		}
		former[t] = ids
	}
	return former
}
