package replica

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/meter"
	"github.com/millrace-io/millrace/broker/internal/partition"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

// Config is what a Manager works with. All fields are required.
type Config struct {
	FS       vfs.FS
	Dir      string // holds a directory for each partition, and the checkpoint
	NodeID   int32
	Flush    FlushMode
	Settings func() *settings.Broker
	Now      func() time.Time
	Log      *slog.Logger
	// Clean: the last owner of the directory closed it, and nothing was written since.
	Clean bool
	// Failed is told, once, that the directory went offline; nil when nobody wants to know. It is called with any lock held and must not call back.
	Failed func(error)
	// Purged is told when no file of a deleted topic is left. It is called without any lock.
	Purged func(controller.TopicID)
}

// Manager holds the partitions of a broker. It is safe for concurrent use.
type Manager struct {
	cfg   Config
	index atomic.Pointer[index]

	checkpointMu sync.Mutex // one writer of the checkpoint file
	saved        string     // what it says, to spare writing the same; guarded by checkpointMu

	pastMu sync.Mutex // held while index changes
	past   Traffic    // of partitions that are gone; guarded by pastMu

	flushes meter.Timing

	failed atomic.Pointer[error] // why the directory is offline
	room   room

	mu sync.Mutex // serialises Update and Close
	// The fields below are guarded by mu.
	found    map[string]commitlog.Checkpoint // from the checkpoint file, by directory; taken out when a log is opened
	settings *settings.Broker
	closed   bool
	verify   bool // the directory was offline, and its logs are still to be opened

	stop       chan struct{} // closed by Close
	background sync.WaitGroup
	removals   chan removal
}

// index finds partitions. It is immutable; an update makes another.
type index struct {
	byName map[string][]*Partition // by number
	byID   map[controller.TopicID][]*Partition
}

// maxRemovals bounds the deleted topics that nobody has looked at yet; the files of more stay until the next start. A topic that waits for its delay costs some
// hundred bytes.
const maxRemovals = 1024

// removal is the rest of a deleted topic.
type removal struct {
	id   controller.TopicID
	logs []*Partition // to be closed; none after a start
	dirs int32        // how many partitions it had
	due  time.Time    // when its files may go
}

// Open reads the checkpoint. Partitions come with the first Update.
func Open(cfg Config) (*Manager, error) {
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	found, err := readCheckpoint(cfg.FS, cfg.FS.PathJoin(cfg.Dir, checkpointFile))
	if err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, found: found, stop: make(chan struct{}), removals: make(chan removal, maxRemovals)}
	m.index.Store(&index{byName: map[string][]*Partition{}, byID: map[controller.TopicID][]*Partition{}})
	if m.verify, err = m.findMark(); err != nil {
		return nil, err
	}
	if m.verify {
		cfg.Log.Warn("the data directory was offline after a failed write: every byte of it is read now", "path", cfg.Dir)
	}
	return m, nil
}

// Start begins the work in the background.
func (m *Manager) Start() {
	m.LookForRoom()
	for _, work := range []func(){m.housekeep, m.clean, m.remove} {
		m.background.Go(work)
	}
}

// Partition returns a partition that this broker holds.
func (m *Manager) Partition(topic string, number int32) (*Partition, error) {
	return pick(m.index.Load().byName[topic], number)
}

// PartitionByID returns a partition that this broker holds.
func (m *Manager) PartitionByID(id controller.TopicID, number int32) (*Partition, error) {
	return pick(m.index.Load().byID[id], number)
}

func pick(list []*Partition, number int32) (*Partition, error) {
	if number < 0 || int(number) >= len(list) || list[number] == nil {
		return nil, ErrUnknownPartition
	}
	return list[number], nil
}

// All returns every partition that this broker holds, in no order.
func (m *Manager) All() []*Partition {
	var out []*Partition
	for _, list := range m.index.Load().byID {
		for _, p := range list {
			if p != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// Update brings the partitions in line with the metadata: opens what is new, closes and removes what was deleted, hands on what changed. When it
// returns, requests find the partitions of now.
func (m *Manager) Update(old, now *controller.Image) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	settings := m.cfg.Settings()
	all := old == nil || settings != m.settings
	m.settings = settings
	next := &index{byName: map[string][]*Partition{}, byID: map[controller.TopicID][]*Partition{}}
	have := m.index.Load()
	var fresh []*Partition
	for _, t := range now.Topics() {
		list := have.byID[t.ID]
		if all || old.Topic(t.Name) != t {
			var opened []*Partition
			list, opened = m.extend(list, t)
			fresh = append(fresh, opened...)
		}
		next.byName[t.Name], next.byID[t.ID] = list, list
	}
	m.open(fresh)
	if m.verify && old == nil {
		m.clearMark(fresh)
	}
	for _, t := range now.Topics() {
		if all || old.Topic(t.Name) != t {
			m.apply(t, next.byID[t.ID])
		}
	}
	m.succeed(next)
	for id, list := range have.byID {
		if next.byID[id] == nil {
			m.dismiss(id, list)
		}
	}
	if old == nil {
		m.reportStrangers(now)
		for id, n := range now.Deleted() {
			m.enqueue(removal{id: id, dirs: n})
		}
	}
}

// extend returns the partitions of a topic that this broker holds, with those that are new on their own too.
func (m *Manager) extend(list []*Partition, t *controller.Topic) (all, fresh []*Partition) {
	if len(list) == len(t.Partitions) {
		return list, nil
	}
	all = append(make([]*Partition, 0, len(t.Partitions)), list...)
	for n := len(list); n < len(t.Partitions); n++ {
		p := &Partition{Topic: t.Name, TopicID: t.ID, Number: int32(n), m: m, dir: dirName(t.ID, int32(n))}
		p.config.Store(settings.EffectiveTopic(m.settings, t.Configs))
		all, fresh = append(all, p), append(fresh, p)
	}
	return all, fresh
}

// dirName is the name of a partition's directory. It is made of the topic's id, never of its name: a topic made anew finds nothing of the old one, and
// no client writes file names.
func dirName(id controller.TopicID, number int32) string {
	return hex.EncodeToString(id[:]) + "-" + strconv.Itoa(int(number))
}

// open opens logs, several at a time: opening is mostly waiting after a clean stop and mostly checking after an unclean one.
func (m *Manager) open(list []*Partition) {
	workers := runtime.GOMAXPROCS(0)
	if !m.cfg.Clean || m.verify {
		workers = int(m.settings.Int("num.recovery.threads.per.data.dir"))
	}
	points := make([]commitlog.Checkpoint, len(list))
	clean := make([]bool, len(list))
	for i, p := range list {
		points[i] = m.found[p.dir]
		clean[i] = m.cfg.Clean
		delete(m.found, p.dir)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, len(list)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				m.openOne(list[i], points[i], clean[i])
			}
		})
	}
	wg.Wait()
}

func (m *Manager) openOne(p *Partition, point commitlog.Checkpoint, clean bool) {
	p.point = point
	log, err := commitlog.Open(m.cfg.FS, m.cfg.FS.PathJoin(m.cfg.Dir, p.dir), logConfig(p.Config(), m.settings),
		commitlog.OpenOptions{Checkpoint: point, Clean: clean, Verify: m.verify, Now: m.cfg.Now()})
	if err != nil {
		p.state = partition.New(m.cfg.NodeID, 0, 0, 0)
		p.fail(err)
		if errors.Is(err, commitlog.ErrOffline) && !isOwnDamage(err) {
			m.Fail(fmt.Errorf("%s-%d: %w", p.Topic, p.Number, err))
		}
		return
	}
	if r := log.Recovery(); r.TruncatedBytes > 0 {
		m.cfg.Log.Warn("a torn tail was cut off", "topic", p.Topic, "partition", p.Number, "bytes", r.TruncatedBytes, "offset", r.TruncatedAt)
	}
	p.log = log
	p.state = partition.New(m.cfg.NodeID, log.LogStart(), log.LogStart(), log.End())
}

// apply hands a topic's configuration and leadership to its partitions.
func (m *Manager) apply(t *controller.Topic, list []*Partition) {
	eff := settings.EffectiveTopic(m.settings, t.Configs)
	for n, p := range list {
		p.configure(eff, logConfig(eff, m.settings))
		if meta := &t.Partitions[n]; meta.Leader == m.cfg.NodeID {
			if err := p.lead(meta, eff.MinInsyncReplicas); err != nil && !errors.Is(err, ErrOffline) {
				p.fail(err)
			}
		}
	}
}

// dismiss takes the partitions of a deleted topic out of use and has their files removed.
func (m *Manager) dismiss(id controller.TopicID, list []*Partition) {
	delay := time.Duration(0)
	for _, p := range list {
		p.close()
		delay = p.Config().FileDeleteDelay
	}
	m.enqueue(removal{id: id, logs: list, dirs: int32(len(list)), due: time.Now().Add(delay)})
}

// enqueue is called with mu held. When the queue is full the files stay until the next start, which finds the topic still unpurged.
func (m *Manager) enqueue(r removal) {
	select {
	case m.removals <- r:
	default:
		m.cfg.Log.Warn("too many deleted topics wait for their files to be removed; the next start will do it", "topic_id", hex.EncodeToString(r.id[:]))
	}
}

// Close stops the work in the background, closes every log and writes the checkpoint. It reports whether everything was closed as a clean start needs.
func (m *Manager) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	close(m.stop)
	m.background.Wait()
	m.discardQueued()
	list := m.All()
	errs := make([]error, len(list))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(closers, len(list)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				p := list[i]
				p.close()
				errs[i] = p.end()
			}
		})
	}
	wg.Wait()
	if err := m.Err(); err != nil {
		return err
	}
	return errors.Join(errors.Join(errs...), m.saveCheckpoint())
}

// closers is how many logs are closed, and thereby flushed, at the same time.
const closers = 8

// Abandon stops the work in the background and drops everything as a kill would: nothing is flushed or written.
func (m *Manager) Abandon() {
	m.mu.Lock()
	was := m.closed
	m.closed = true
	m.mu.Unlock()
	if was {
		return
	}
	close(m.stop)
	m.background.Wait()
	m.discardQueued()
	for _, p := range m.All() {
		p.close()
	}
}
