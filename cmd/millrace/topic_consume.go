package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/topicscan"
)

type consumeOptions struct {
	format      string
	offset      string
	number      int64
	end         bool
	partitions  []int32
	group       string
	uncommitted bool
}

func topicConsume(g *globals) *cobra.Command {
	o := consumeOptions{}
	fromBeginning := false
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Read records and print them",
		Long: `Read records and print them, one value a line unless --format says otherwise.
The format has verbs: %t topic, %p partition, %o offset, %k key, %v value, %d time in milliseconds, %h{%k=%v } headers, and \n \t for the characters between.
%v{hex} and %v{base64} show bytes, %v{unpack[>q]} a number of 8 bytes as Kafka's Long serializer writes it.`,
		Args: exactly("TOPIC"),
		Example: `  millrace topic consume orders
  millrace topic consume orders --end --format '%p %o %k %v\n'
  millrace topic consume orders --offset -10 --number 10
  millrace topic consume word-counts --end --format '%k %v{unpack[>q]}\n'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if fromBeginning {
				o.offset = "start"
			}
			return g.consume(cmd, o, args[0])
		},
	}
	cmd.Flags().StringVarP(&o.format, "format", "f", `%v\n`, "how records are printed")
	cmd.Flags().StringVar(&o.offset, "offset", "start", "where to begin: `start|end|N|+N|-N` (a number, N after the start, N before the end)")
	cmd.Flags().BoolVar(&fromBeginning, "from-beginning", false, "the same as --offset start")
	cmd.Flags().Int64VarP(&o.number, "number", "n", 0, "stop after so many records (also --max-messages)")
	cmd.Flags().BoolVarP(&o.end, "end", "e", false, "stop at the end of what is there now")
	cmd.Flags().Int32SliceVarP(&o.partitions, "partition", "p", nil, "partitions to read (default all)")
	cmd.Flags().StringVarP(&o.group, "group", "g", "", "read as a member of this group and commit what was printed")
	cmd.Flags().BoolVar(&o.uncommitted, "read-uncommitted", false, "show records of open and aborted transactions too")
	cmd.Flags().Int64Var(&o.number, "max-messages", 0, "")
	_ = cmd.Flags().MarkHidden("max-messages") // Kafka's name for --number; the flag exists
	return cmd
}

func (o *consumeOptions) validate() error {
	switch {
	case o.number < 0:
		return usagef("--number %d: want at least 1", o.number)
	case o.group != "" && len(o.partitions) > 0:
		return usagef("--group shares the partitions between its members: leave out --partition")
	case o.group != "" && o.end:
		return usagef("--group reads on from the group's offsets: use --number to stop")
	}
	return nil
}

// parseOffset understands start, end, N, +N (after the start) and -N (before the end).
func parseOffset(text string) (kgo.Offset, error) {
	at := kgo.NewOffset()
	switch text {
	case "start", "beginning", "earliest":
		return at.AtStart(), nil
	case "end", "latest":
		return at.AtEnd(), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return at, usagef("--offset %s: want start, end, a number, +N or -N", text)
	case strings.HasPrefix(text, "+"):
		return at.AtStart().Relative(n), nil
	case n < 0:
		return at.AtEnd().Relative(n), nil
	}
	return at.At(n), nil
}

func (g *globals) consume(cmd *cobra.Command, o consumeOptions, topic string) error {
	if err := o.validate(); err != nil {
		return err
	}
	from, err := parseOffset(o.offset)
	if err != nil {
		return err
	}
	formatter, err := kgo.NewRecordFormatter(o.format)
	if err != nil {
		return usagef("--format %s: %v", o.format, err)
	}
	opts := []kgo.Opt{kgo.ConsumeResetOffset(from), kgo.KeepControlRecords()}
	if !o.uncommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if o.group != "" {
		opts = append(opts, kgo.ConsumerGroup(o.group), kgo.ConsumeTopics(topic), kgo.AutoCommitMarks())
	}
	cl, err := g.connect(cmd.Context(), opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	c := &consuming{options: o, json: g.output == outputJSON, formatter: formatter, out: cmd.OutOrStdout(), left: o.number}
	if err := c.assign(cmd.Context(), cl, topic, from); err != nil {
		return err
	}
	if o.end {
		return c.toEnd(cmd.Context(), cl, topic)
	}
	return c.loop(cmd.Context(), cl, topic)
}

// consuming is a read of one topic.
type consuming struct {
	options   consumeOptions
	json      bool
	formatter *kgo.RecordFormatter
	out       io.Writer
	left      int64            // records still to print, when the number is bounded
	stretches []topicscan.Part // with --end: what to read
	buf       []byte
}

// assign chooses the partitions to read, and with --end how far.
func (c *consuming) assign(ctx context.Context, cl *kgo.Client, topic string, from kgo.Offset) error {
	adm := kadm.NewClient(cl)
	topics, err := existing(ctx, adm, []string{topic})
	if err != nil || c.options.group != "" {
		return err
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return explain("list the start offsets", err, "")
	}
	list := adm.ListCommittedOffsets
	if c.options.uncommitted {
		list = adm.ListEndOffsets
	}
	ends, err := list(ctx, topic)
	if err != nil {
		return explain("list the end offsets", err, "")
	}
	partitions := c.options.partitions
	if len(partitions) == 0 {
		partitions = topics[topic].Partitions.Numbers()
	}
	assigned := map[int32]kgo.Offset{}
	for _, p := range partitions {
		if _, ok := topics[topic].Partitions[p]; !ok {
			return fmt.Errorf("topic %q has no partition %d: it has %d", topic, p, len(topics[topic].Partitions))
		}
		start, err := listed(starts, topic, p)
		if err != nil {
			return err
		}
		end, err := listed(ends, topic, p)
		if err != nil {
			return err
		}
		at := c.startAt(start, end, from)
		assigned[p] = kgo.NewOffset().At(at)
		if c.options.end && at < end {
			c.stretches = append(c.stretches, topicscan.Part{Partition: p, From: at, To: end})
		}
	}
	if c.options.end {
		return nil
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: assigned})
	return nil
}

// listed returns a partition's offset, or why the broker told none: whoever reads all partitions is not to take one that cannot be read for an empty one.
func listed(offsets kadm.ListedOffsets, topic string, partition int32) (int64, error) {
	o, ok := offsets.Lookup(topic, partition)
	if !ok {
		o.Err = errors.New("the broker's answer lacks it")
	}
	return o.Offset, explain(fmt.Sprintf("list the offsets of topic %q, partition %d", topic, partition), o.Err, "")
}

// startAt turns the offset asked for into a number within [start, end].
func (c *consuming) startAt(start, end int64, from kgo.Offset) int64 {
	o := from.EpochOffset().Offset // -2 start, -1 end, or a number
	at := o
	switch text := c.options.offset; {
	case o == -2 && strings.HasPrefix(text, "+"), o == -1 && strings.HasPrefix(text, "-"):
		n, _ := strconv.ParseInt(text, 10, 64) // parseOffset has read it
		at = start + n
		if n < 0 {
			at = end + n
		}
	case o == -2:
		at = start
	case o == -1:
		at = end
	}
	return min(max(at, start), end)
}

// errEnough ends a read that has printed its number of records.
var errEnough = errors.New("as many as were asked for")

// toEnd prints what the topic held when it was asked, one partition after the other.
func (c *consuming) toEnd(ctx context.Context, cl *kgo.Client, topic string) error {
	err := topicscan.Read(ctx, cl, topic, !c.options.uncommitted, c.stretches, func(r *kgo.Record) error {
		if err := c.take(cl, r); err != nil {
			return err
		}
		if c.done() {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
		return nil
	}
	return explain(fmt.Sprintf("consume topic %q", topic), err, "")
}

func (c *consuming) loop(ctx context.Context, cl *kgo.Client, topic string) error {
	for !c.done() {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.Canceled) {
				return c.commit(cl)
			}
			return explain(fmt.Sprintf("consume topic %q, partition %d", topic, e.Partition), e.Err, "")
		}
		for r := range fetches.RecordsAll() {
			if err := c.take(cl, r); err != nil {
				return err
			}
			if c.done() {
				break
			}
		}
	}
	return c.commit(cl)
}

// done tells whether as many records are printed as were asked for.
func (c *consuming) done() bool { return c.options.number > 0 && c.left == 0 }

// take prints one record unless it is a transaction's marker.
func (c *consuming) take(cl *kgo.Client, r *kgo.Record) error {
	if !r.Attrs.IsControl() {
		if err := c.print(r); err != nil {
			return err
		}
		c.left--
	}
	if c.options.group != "" {
		cl.MarkCommitRecords(r)
	}
	return nil
}

func (c *consuming) print(r *kgo.Record) error {
	if c.json {
		line, err := json.Marshal(consumed(r))
		if err != nil {
			return err
		}
		c.buf = append(append(c.buf[:0], line...), '\n')
	} else {
		c.buf = c.formatter.AppendRecord(c.buf[:0], r)
	}
	_, err := c.out.Write(c.buf)
	return err
}

func (c *consuming) commit(cl *kgo.Client) error {
	if c.options.group == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	return explain("commit offsets of group "+c.options.group, cl.CommitMarkedOffsets(ctx), "")
}

// consumedRecord is a record as JSON. Bytes that are no text stand in the fields whose names end in _base64.
type consumedRecord struct {
	Topic       string           `json:"topic"`
	Partition   int32            `json:"partition"`
	Offset      int64            `json:"offset"`
	Timestamp   time.Time        `json:"timestamp"`
	Key         *string          `json:"key"`
	KeyBase64   string           `json:"key_base64,omitempty"`
	Value       *string          `json:"value"`
	ValueBase64 string           `json:"value_base64,omitempty"`
	Headers     []consumedHeader `json:"headers,omitempty"`
}

type consumedHeader struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 string  `json:"value_base64,omitempty"`
}

func consumed(r *kgo.Record) consumedRecord {
	c := consumedRecord{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UTC()}
	c.Key, c.KeyBase64 = textOrBase64(r.Key)
	c.Value, c.ValueBase64 = textOrBase64(r.Value)
	for _, h := range r.Headers {
		text, encoded := textOrBase64(h.Value)
		c.Headers = append(c.Headers, consumedHeader{h.Key, text, encoded})
	}
	return c
}

// textOrBase64 returns bytes as text when they are UTF-8 without control characters below a tab, otherwise in base64.
func textOrBase64(b []byte) (text *string, encoded string) {
	if b == nil {
		return nil, ""
	}
	s := string(b)
	if utf8.Valid(b) && !strings.ContainsFunc(s, func(r rune) bool { return r < '\t' }) {
		return &s, ""
	}
	return nil, base64.StdEncoding.EncodeToString(b)
}
