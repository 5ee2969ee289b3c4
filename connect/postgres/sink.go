package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sink writes records and positions into the log, in transactions. One goroutine owns it.
type sink struct {
	cfg    *Config
	client *kgo.Client
	admin  *kadm.Client

	open    bool      // a transaction is
	begun   time.Time // when it was opened
	records int       // in the open transaction
	bytes   int
	failed  atomic.Pointer[error] // the first record that could not be written
	made    map[string]bool       // topics known to be there
}

// Limits of what waits for the log: when they are reached the connector stops reading from the database.
const (
	maxBufferedRecords = 20_000
	maxBufferedBytes   = 32 << 20
)

// openSink connects to the log and fences whoever ran before under the same name.
func openSink(ctx context.Context, cfg *Config) (*sink, error) {
	client, err := kgo.NewClient(append(clientOptions(cfg),
		kgo.TransactionalID("millrace-postgres-"+cfg.Name),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.ProducerBatchMaxBytes(maxRecordBytes),
		kgo.MaxBufferedRecords(maxBufferedRecords),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.RecordRetries(20),
	)...)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	s := &sink{cfg: cfg, client: client, admin: kadm.NewClient(client), made: make(map[string]bool)}
	if _, _, err := client.ProducerID(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("postgres: begin with the log at %v: %w", cfg.Brokers, err)
	}
	return s, nil
}

func (s *sink) close() { s.client.Close() }

func (s *sink) positionTopic() string { return s.cfg.Name + positionSuffix }

// ensureTopic makes a topic that is not there.
func (s *sink) ensureTopic(ctx context.Context, name string, partitions int, configs map[string]string) error {
	if s.made[name] {
		return nil
	}
	settings := make(map[string]*string, len(configs))
	for k, v := range configs {
		settings[k] = &v
	}
	_, err := s.admin.CreateTopic(ctx, int32(partitions), int16(s.cfg.ReplicationFactor), settings, name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("postgres: make topic %s: %w", name, err)
	}
	s.made[name] = true
	return nil
}

func (s *sink) ensureTable(ctx context.Context, topic string) error {
	return s.ensureTopic(ctx, topic, s.cfg.Partitions, s.cfg.TopicConfig)
}

// load reads the committed position.
func (s *sink) load(ctx context.Context) (*position, error) {
	if err := s.ensureTopic(ctx, s.positionTopic(), 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		return nil, err
	}
	p := &position{tables: make(map[tableName]*tablePosition)}
	err := s.each(ctx, s.positionTopic(), func(r *kgo.Record) error { return p.load(s.cfg.Name, r.Key, r.Value) })
	return p, err
}

// each is eachRecord. Our own former transaction must be over: opening the sink has seen to that.
func (s *sink) each(ctx context.Context, topic string, f func(*kgo.Record) error) error {
	return eachRecord(ctx, s.cfg, s.admin, topic, f)
}

// put adds a record to the open transaction, or opens one. It waits while too much is on its way. at is the record's time. The sink owns key
// and value from here on.
func (s *sink) put(ctx context.Context, topic string, key, value []byte, at time.Time) error {
	if !s.open {
		if err := s.client.BeginTransaction(); err != nil {
			return s.fault(fmt.Errorf("begin a transaction: %w", err))
		}
		s.open, s.begun, s.records, s.bytes = true, time.Now(), 0, 0
	}
	s.records++
	s.bytes += len(key) + len(value)
	s.client.Produce(ctx, &kgo.Record{Topic: topic, Key: key, Value: value, Timestamp: at}, s.written)
	if err := s.failed.Load(); err != nil {
		return s.fault(*err)
	}
	return nil
}

func (s *sink) written(r *kgo.Record, err error) {
	if err != nil {
		err = fmt.Errorf("write %d bytes to topic %s: %w", len(r.Key)+len(r.Value), r.Topic, err)
		s.failed.CompareAndSwap(nil, &err)
	}
}

// commit ends the open transaction with the position that its records reach. Nothing else may be done with the sink after an error.
func (s *sink) commit(ctx context.Context, at mainPosition, lsn pglogrepl.LSN) error {
	at.Version, at.LSN = positionVersion, lsn.String()
	if err := s.put(ctx, s.positionTopic(), []byte(s.cfg.Name), mustJSON(at), time.Now()); err != nil {
		return err
	}
	if err := s.client.Flush(ctx); err != nil {
		return s.fault(err)
	}
	if err := s.failed.Load(); err != nil {
		return s.fault(*err)
	}
	// kgo v1.22.2 writes the records that waited for a new topic's metadata before EndTransaction can see the topic's partitions, and turns a commit that it
	// sees nothing for into an abort, without an error. Aborting what is buffered, which is nothing any more, waits until they can be seen.
	if err := s.client.AbortBufferedRecords(ctx); err != nil {
		return s.fault(err)
	}
	if err := s.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return s.fault(fmt.Errorf("commit: %w", err))
	}
	s.open = false
	return nil
}

// fault names an error of the log and tells apart the one that no new try mends.
func (s *sink) fault(err error) error {
	if s.open && time.Since(s.begun) >= s.cfg.TransactionTimeout {
		return fmt.Errorf("postgres: a transaction with %d records has lasted longer than TransactionTimeout, %v: raise it, and the brokers' transaction.max.timeout.ms: %w",
			s.records, s.cfg.TransactionTimeout, err)
	}
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return fmt.Errorf("%w (%s): %w", ErrTakenOver, s.cfg.Name, err)
	}
	return fmt.Errorf("postgres: %w", err)
}
