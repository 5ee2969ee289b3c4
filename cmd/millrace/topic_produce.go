package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type produceOptions struct {
	format      string
	key         string
	headers     []string
	partition   int32
	compression string
	tombstone   bool
	create      bool
}

func topicProduce(g *globals) *cobra.Command {
	o := produceOptions{}
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Write records from standard input",
		Long: `Write records from standard input, one from each line unless --format says otherwise.
The format has verbs: %k key, %v value, %p partition, %d time in milliseconds, and \n \t for the characters between.`,
		Args: exactly("TOPIC"),
		Example: `  echo hello | millrace topic produce orders
  printf 'k1 v1\nk2 v2\n' | millrace topic produce orders --format '%k %v\n'
  echo k1 | millrace topic produce orders --format '%k\n' --tombstone`,
		RunE: func(cmd *cobra.Command, args []string) error { return g.produce(cmd, o, args[0]) },
	}
	cmd.Flags().StringVarP(&o.format, "format", "f", `%v\n`, "how records stand in the input")
	cmd.Flags().StringVarP(&o.key, "key", "k", "", "key of all records")
	cmd.Flags().StringArrayVarP(&o.headers, "header", "H", nil, "header of all records, `KEY:VALUE`; may be repeated")
	cmd.Flags().Int32VarP(&o.partition, "partition", "p", -1, "partition of all records; -1 chooses by the key, as Kafka's clients do")
	cmd.Flags().StringVarP(&o.compression, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	cmd.Flags().BoolVarP(&o.tombstone, "tombstone", "Z", false, "an empty value is null, which deletes the key from a compacted topic")
	cmd.Flags().BoolVar(&o.create, "create", false, "make the topic first when it does not exist, with the broker's defaults")
	return cmd
}

var compressions = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func (g *globals) produce(cmd *cobra.Command, o produceOptions, topic string) error {
	in := cmd.InOrStdin()
	if strings.HasSuffix(o.format, `\n`) {
		in = &lastLine{r: in}
	}
	reader, err := kgo.NewRecordReader(in, o.format)
	if err != nil {
		return usagef("--format %s: %v", o.format, err)
	}
	codec, ok := compressions[o.compression]
	if !ok {
		return usagef("--compression %s: want none, gzip, snappy, lz4 or zstd", o.compression)
	}
	var headers []kgo.RecordHeader
	for _, h := range o.headers {
		key, value, ok := strings.Cut(h, ":")
		if !ok {
			return usagef("--header %s: want KEY:VALUE", h)
		}
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	opts := []kgo.Opt{kgo.ProducerBatchCompression(codec), kgo.RecordDeliveryTimeout(adminTimeout)}
	if o.partition >= 0 || strings.Contains(o.format, "%p") {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	cl, err := g.connect(cmd.Context(), opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if o.create {
		if _, err := adm.CreateTopic(cmd.Context(), -1, -1, nil, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return explain(fmt.Sprintf("create topic %q", topic), err, "")
		}
	}
	if _, err := existing(cmd.Context(), adm, []string{topic}); err != nil {
		return err
	}
	p := &producing{g: g, out: cmd.OutOrStdout(), topic: topic}
	for {
		r, err := reader.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read record %d from standard input: %w", p.read+1, err), p.finish(cmd, cl))
		}
		o.fill(r, topic, headers)
		p.read++
		cl.Produce(cmd.Context(), r, p.promise)
		if p.failed() != nil {
			break
		}
	}
	return p.finish(cmd, cl)
}

func (o *produceOptions) fill(r *kgo.Record, topic string, headers []kgo.RecordHeader) {
	r.Topic = topic
	r.Headers = append(r.Headers, headers...)
	if o.partition >= 0 {
		r.Partition = o.partition
	}
	if o.key != "" {
		r.Key = []byte(o.key)
	}
	if r.Value == nil && !o.tombstone {
		r.Value = []byte{}
	}
	if o.tombstone && len(r.Value) == 0 {
		r.Value = nil
	}
}

// producing follows the records on their way.
type producing struct {
	g     *globals
	out   io.Writer
	topic string
	read  int64 // owned by the reading goroutine
	mu    struct {
		sync.Mutex
		acked int64
		err   error
	}
}

type producedRecord struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Timestamp time.Time `json:"timestamp"`
}

func (p *producing) promise(r *kgo.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if p.mu.err == nil {
			p.mu.err = err
		}
		return
	}
	p.mu.acked++
	if p.g.output == outputJSON {
		line, _ := json.Marshal(producedRecord{r.Topic, r.Partition, r.Offset, r.Timestamp}) // plain fields cannot fail
		if _, err := fmt.Fprintf(p.out, "%s\n", line); err != nil && p.mu.err == nil {
			p.mu.err = err
		}
	}
}

func (p *producing) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.err
}

// finish waits for the records that are under way and tells how many arrived.
func (p *producing) finish(cmd *cobra.Command, cl *kgo.Client) error {
	flushed := cl.Flush(cmd.Context())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.g.output == outputText {
		fmt.Fprintf(cmd.ErrOrStderr(), "Produced %d %s to topic %s.\n", p.mu.acked, plural(p.mu.acked, "record"), p.topic)
	}
	if p.mu.err != nil {
		return explain(fmt.Sprintf("produce to topic %q", p.topic), p.mu.err, "")
	}
	return flushed
}
