package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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

	open        bool         // a transaction is
	begun       time.Time    // when it was opened
	sent, taken atomic.Int64 // records, so far
	records     int          // in the open transaction
	bytes       int
	batchBytes  int                   // of a batch, and so of a record, at most
	failed      atomic.Pointer[error] // the first record that could not be written
}

// Limits of what waits for the log: when they are reached the connector stops reading from the database.
const (
	maxBufferedRecords = 20_000
	maxBufferedBytes   = 32 << 20
	minBatchBytes      = 1 << 10 // what kgo takes as a batch
)

// openSink connects to the log and fences whoever ran before under the same name.
func openSink(ctx context.Context, cfg *Config) (*sink, error) {
	s := &sink{cfg: cfg, batchBytes: maxRecordBytes}
	return s, s.connect(ctx)
}

// connect makes the client, with batches of batchBytes at most.
func (s *sink) connect(ctx context.Context) error {
	cfg := s.cfg
	client, err := kgo.NewClient(append(clientOptions(cfg),
		kgo.TransactionalID("millrace-postgres-"+cfg.Name),
		kgo.TransactionTimeout(cfg.TransactionTimeout),
		kgo.ProducerBatchMaxBytes(int32(s.batchBytes)),
		kgo.MaxBufferedRecords(maxBufferedRecords),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.RecordRetries(20),
	)...)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if _, _, err := client.ProducerID(ctx); err != nil {
		client.Close()
		return fmt.Errorf("postgres: begin with the log at %v: %w", cfg.Brokers, err)
	}
	s.client, s.admin = client, kadm.NewClient(client)
	return nil
}

// fit makes batches no larger than each of the topics takes, which others may have made. No transaction is open.
func (s *sink) fit(ctx context.Context, topics []string) error {
	described, err := s.admin.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return fmt.Errorf("postgres: describe the topics: %w", err)
	}
	least := s.batchBytes
	for _, topic := range described {
		for _, setting := range topic.Configs { // none of a topic that we may not describe
			if n, err := strconv.Atoi(setting.MaybeValue()); err == nil && setting.Key == "max.message.bytes" && n > minBatchBytes {
				least = min(least, n)
			}
		}
	}
	if least == s.batchBytes {
		return nil
	}
	s.client.Close()
	s.batchBytes = least
	return s.connect(ctx)
}

func (s *sink) close() {
	if s.client != nil {
		s.client.Close()
	}
}

func (s *sink) positionTopic() string { return s.cfg.Name + positionSuffix }

// ensureTopic makes a topic that is not there, and tells whether it did.
func (s *sink) ensureTopic(ctx context.Context, name string, partitions int, configs map[string]string) (made bool, err error) {
	settings := make(map[string]*string, len(configs))
	for k, v := range configs {
		settings[k] = &v
	}
	_, err = s.admin.CreateTopic(ctx, int32(partitions), int16(s.cfg.ReplicationFactor), settings, name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return false, fmt.Errorf("postgres: make topic %s: %w", name, err)
	}
	return err == nil, nil
}

func (s *sink) ensureTable(ctx context.Context, topic string) (made bool, err error) {
	return s.ensureTopic(ctx, topic, s.cfg.Partitions, s.cfg.TopicConfig)
}

// load reads the committed position, and says in which topic it is.
func (s *sink) load(ctx context.Context) (*position, topicState, error) {
	if _, err := s.ensureTopic(ctx, s.positionTopic(), 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		return nil, topicState{}, err
	}
	topic, err := s.checkPositionTopic(ctx)
	if err != nil {
		return nil, topicState{}, err
	}
	p := &position{tables: make(map[tableName]*tablePosition)}
	err = s.each(ctx, s.positionTopic(), func(r *kgo.Record) error { return p.load(s.cfg.Name, r.Key, r.Value) })
	return p, topic, err
}

// each is eachRecord. Our own former transaction must be over: opening the sink has seen to that.
func (s *sink) each(ctx context.Context, topic string, f func(*kgo.Record) error) error {
	return eachRecord(ctx, s.client, topic, f)
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
	s.sent.Add(1)
	s.bytes += len(key) + len(value)
	s.client.Produce(ctx, &kgo.Record{Topic: topic, Key: key, Value: value, Timestamp: at}, s.written)
	if err := s.failed.Load(); err != nil {
		return s.fault(*err)
	}
	return nil
}

// watch calls fail when the log takes nothing of what it is sent for so long that it must be away. It returns when ctx ends.
func (s *sink) watch(ctx context.Context, fail func(error)) {
	tick := time.NewTicker(s.cfg.logSilence / 4)
	defer tick.Stop()
	taken, since := s.taken.Load(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.taken.Load()
		if now != taken || now == s.sent.Load() {
			taken, since = now, time.Now()
		}
		if time.Since(since) > s.cfg.logSilence {
			fail(fmt.Errorf("postgres: the log at %v has taken nothing for %v", s.cfg.Brokers, s.cfg.logSilence))
			return
		}
	}
}

func (s *sink) written(r *kgo.Record, err error) {
	s.taken.Add(1)
	if err != nil {
		err = fmt.Errorf("write %d bytes to topic %s: %w", len(r.Key)+len(r.Value), r.Topic, err)
		if errors.Is(err, kerr.MessageTooLarge) {
			err = fmt.Errorf("%w: key %.200s: the topics take %d bytes, by max.message.bytes: raise it, up to %d, or leave the table out: %w", errTooLarge, r.Key, s.batchBytes, maxRecordBytes, err)
		}
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
		return fmt.Errorf("%w: %d records took longer than TransactionTimeout, %v: raise it, and the brokers' transaction.max.timeout.ms: %w",
			errTooLong, s.records, s.cfg.TransactionTimeout, err)
	}
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return fmt.Errorf("%w (%s): %w", ErrTakenOver, s.cfg.Name, err)
	}
	return fmt.Errorf("postgres: %w", err)
}
