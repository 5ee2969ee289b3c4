package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/controller"
	"github.com/millrace-io/millrace/broker/internal/settings"
)

const (
	// compactAt is the size of the log at which it gives way to a snapshot, unless the last snapshot is larger: then the log may grow to that size,
	// so that writing snapshots never costs more than writing the log did.
	compactAt = 1 << 20

	// TransactionVersion is the level of the feature transaction.version: 2 is KIP-890, the epoch bumped at every end of a transaction.
	TransactionVersion = 2
)

// ErrClosed is returned by proposals after Close.
var ErrClosed = errors.New("cluster: the metadata is closed")

// Config says where the metadata lies and who asks.
type Config struct {
	FS       vfs.FS
	Dir      string
	NodeID   int32
	Rack     string
	Clean    bool             // the broker's last stop was clean
	End      uint64           // the index at which the metadata ended then; 0 when that is not known
	Settings *settings.Broker // as the broker was started
	Features map[string]int16 // finalized at the cluster's creation
	Log      *slog.Logger

	// Begin is called by Open when what is on disk was found whole, and before anything is written; nil when nobody wants to know.
	Begin func() error

	// Failed is told, once, that the metadata can no longer be written; nil when nobody wants to know. It is called with a lock held and must not call back.
	Failed func(error)
}

// Local is the metadata of a cluster of one broker.
type Local struct {
	cfg      Config
	image    atomic.Pointer[controller.Image]
	settings atomic.Pointer[settings.Broker]
	broken   atomic.Pointer[error] // set once, by a failed write or by Fail; the directory is not written again

	mu sync.Mutex // held over a proposal, its write and its watchers: proposals are rare and must be in one order
	// The fields below are guarded by mu.
	store   store
	watches []Watch
}

// Watch is called with each new image before the proposal that made it returns, one call at a time, in order. It must not propose.
type Watch func(old, now *controller.Image)

// Open loads the metadata, creates the cluster when there is none, and registers this broker.
func Open(cfg Config) (*Local, error) {
	l := &Local{cfg: cfg, store: store{fs: cfg.FS, dir: cfg.Dir}}
	im, err := l.store.load(cfg.Clean)
	if err != nil {
		return nil, err
	}
	if cfg.Clean && cfg.End > 0 && (im == nil || im.Index() != cfg.End) {
		return nil, fmt.Errorf("cluster: %s: the metadata was closed at index %d, and files of it are gone or older: bring them back", cfg.Dir, cfg.End)
	}
	var records []controller.Record
	if im == nil {
		im = controller.Empty()
		records = append(records, &controller.ClusterCreated{ClusterID: newClusterID()}, minISRForAll(cfg.Settings))
	}
	for name, level := range cfg.Features {
		if im.Feature(name) != level {
			records = append(records, &controller.FeatureSet{Name: name, Level: level})
		}
	}
	records = append(records, &controller.BrokerRegistered{ID: cfg.NodeID, Rack: cfg.Rack, Clean: cfg.Clean})
	if im, err = controller.Apply(im, records...); err != nil {
		return nil, err
	}
	if cfg.Begin != nil {
		if err := cfg.Begin(); err != nil {
			return nil, err
		}
	}
	if err := l.store.rewrite(im); err != nil {
		return nil, err
	}
	l.publish(im)
	return l, nil
}

// minISRForAll fixes the cluster's min.insync.replicas at its creation: brokers must agree on when a record is committed, so that their own settings do
// not count any more (KIP-966).
func minISRForAll(b *settings.Broker) *controller.ConfigsSet {
	const name = "min.insync.replicas"
	return &controller.ConfigsSet{
		Resource: controller.Resource{Type: controller.ResourceBroker},
		Configs:  map[string]string{name: b.String(name)},
	}
}

func newClusterID() string {
	id := NewTopicID()
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// NewTopicID returns a random id (a version 4 UUID).
func NewTopicID() controller.TopicID {
	var id controller.TopicID
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Image is the metadata now.
func (l *Local) Image() *controller.Image { return l.image.Load() }

// Settings are the broker's settings now, with what was changed at run time.
func (l *Local) Settings() *settings.Broker { return l.settings.Load() }

// Env is what the controller's decisions need.
func (l *Local) Env() controller.Env {
	return controller.Env{Settings: l.Settings(), NewID: NewTopicID}
}

// Watch adds a watcher and calls it at once with the image so far, old being nil.
func (l *Local) Watch(w Watch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watches = append(l.watches, w)
	w(nil, l.image.Load())
}

// Propose lets decide look at the current image and makes the records that it returns part of the metadata. When Propose returns nil the records are
// on disk, applied, and seen by every watcher. decide is called in any case, so that it can tell its caller what was asked for; its own error is returned as it is, and
// nothing changes.
func (l *Local) Propose(ctx context.Context, decide func(*controller.Image) ([]controller.Record, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.image.Load()
	records, err := decide(old)
	if err != nil || len(records) == 0 {
		return err
	}
	if err := errors.Join(l.Err(), ctx.Err()); err != nil {
		return err
	}
	now, err := controller.Apply(old, records...)
	if err != nil {
		return err
	}
	if err := l.store.append(old.Index(), records); err != nil {
		return l.writeFailed("the metadata log", err)
	}
	l.publish(now)
	for _, w := range l.watches {
		w(old, now)
	}
	l.compact(now)
	return nil
}

// Err returns why the metadata cannot be written any more; nil while it can.
func (l *Local) Err() error {
	if err := l.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Fail ends the writing for good, since the directory failed elsewhere. It may be called from anywhere.
func (l *Local) Fail(cause error) { l.breakDown(fmt.Errorf("%w: %w", kerr.KafkaStorageError, cause)) }

// writeFailed returns what a proposer is told. A refused write may be tried again; after a write or flush that failed in another way nobody knows what is on disk: it is
// not tried again.
func (l *Local) writeFailed(what string, err error) error {
	err = fmt.Errorf("%w: %w", kerr.KafkaStorageError, err)
	if errors.Is(err, errRefused) {
		l.cfg.Log.Warn(what+" cannot be written now", "error", err)
		return err
	}
	if l.breakDown(err) {
		l.cfg.Log.Error(what+" cannot be written; the broker must be restarted", "error", err)
		if l.cfg.Failed != nil {
			l.cfg.Failed(err)
		}
	}
	return err
}

// breakDown ends the writing and reports whether it had not ended before.
func (l *Local) breakDown(err error) bool { return l.broken.CompareAndSwap(nil, &err) }

// publish makes an image visible.
func (l *Local) publish(im *controller.Image) {
	old := l.image.Swap(im)
	own := controller.Resource{Type: controller.ResourceBroker, Name: strconv.Itoa(int(l.cfg.NodeID))}
	all := controller.Resource{Type: controller.ResourceBroker}
	if old != nil && sameMap(old.Configs(own), im.Configs(own)) && sameMap(old.Configs(all), im.Configs(all)) {
		return
	}
	l.settings.Store(l.cfg.Settings.WithDynamic(im.Configs(own), im.Configs(all)))
}

func sameMap(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

func (l *Local) compact(im *controller.Image) {
	if l.store.size < max(compactAt, l.store.base) {
		return
	}
	if err := l.store.rewrite(im); err != nil {
		l.writeFailed("the metadata snapshot", err) // the proposal itself is on disk
		l.store.base = 2 * l.store.size             // the log goes on; another try comes when it is twice as long
	}
}

// AllocateProducerIDs takes a block of producer ids that nobody was given before: [first, first+count).
func (l *Local) AllocateProducerIDs(ctx context.Context) (first, count int64, err error) {
	err = l.Propose(ctx, func(im *controller.Image) (records []controller.Record, _ error) {
		records, first = controller.AllocateProducerIDs(im)
		return records, nil
	})
	return first, controller.ProducerIDBlock, err
}

// CreateInternalTopic makes one of the broker's own topics, unless it is there, and returns it.
func (l *Local) CreateInternalTopic(ctx context.Context, name string) (*controller.Topic, error) {
	spec := l.internalTopic(name)
	err := l.Propose(ctx, func(im *controller.Image) ([]controller.Record, error) {
		if im.Topic(name) != nil {
			return nil, nil
		}
		records, out := controller.CreateTopics(im, l.Env(), []controller.NewTopic{spec})
		return records, out[0].Err
	})
	if err != nil {
		return nil, err
	}
	return l.Image().Topic(name), nil
}

// internalTopic is what a topic of the broker's own looks like, by the settings.
func (l *Local) internalTopic(name string) controller.NewTopic {
	b := l.Settings()
	prefix, codec := "offsets.topic.", "producer"
	if name == controller.TransactionsTopic {
		prefix, codec = "transaction.state.log.", "uncompressed"
	}
	config := func(name, value string) controller.Config { return controller.Config{Name: name, Value: &value} }
	t := controller.NewTopic{
		Name:        name,
		Partitions:  int32(b.Int(prefix + "num.partitions")),
		Replication: int16(min(b.Int(prefix+"replication.factor"), int64(len(l.Image().Brokers())))),
		Configs: []controller.Config{
			config("cleanup.policy", "compact"),
			config("compression.type", codec),
			config("segment.bytes", strconv.FormatInt(max(b.Int(prefix+"segment.bytes"), 1<<20), 10)),
		},
	}
	if name == controller.TransactionsTopic {
		t.Configs = append(t.Configs,
			config("min.insync.replicas", b.String("transaction.state.log.min.isr")),
			config("unclean.leader.election.enable", "false"))
	}
	return t
}

// Close ends the writing. Proposals after it fail; the image stays readable.
func (l *Local) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breakDown(ErrClosed)
	return l.store.close()
}
