package group

import (
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"time"

	"github.com/millrace-io/millrace/broker/internal/coordinator/entry"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	// maxPatterns bounds the different patterns of one group. Each costs a look at every topic's name when topics come or go, some
	// 100 ns a name: 64 of them and 10,000 topics are 60 ms, at most once in minPatternPause.
	maxPatterns = 64
	// maxPatternBytes bounds one pattern; a topic's name has 249 letters at most.
	maxPatternBytes = 4096
	// recordRoom is what the record of a pattern has besides the names of topics, at most.
	recordRoom = 64
	// minPatternPause is how long a group leaves its patterns alone at least, whatever happens to the topics (as Kafka).
	minPatternPause = 10 * time.Second
)

// compilePattern makes an expression of RE2's syntax that matches a whole name.
func compilePattern(text string) (*regexp.Regexp, error) {
	if _, err := syntax.Parse(text, syntax.Perl); err != nil {
		return nil, err // before it is put in brackets, which it might close
	}
	return regexp.Compile(`\A(?:` + text + `)\z`)
}

func checkPattern(text string) error {
	_, err := compilePattern(text)
	if err == nil {
		return nil
	}
	why := err.Error()
	if e, ok := err.(*syntax.Error); ok {
		why = e.Code.String()
		if e.Expr != "" && e.Code != syntax.ErrMissingParen {
			why += ": `" + e.Expr + "`"
		}
	}
	return fault(kerr.InvalidRegularExpression, "SubscribedTopicRegex `%s` is not a valid regular expression: %s.", text, why)
}

// resolvePatterns finds the topics of patterns that are new, and of all of them when topics may have come or gone. It says whether
// the group is subscribed to others than before.
func (m *Machine) resolvePatterns(g *group) (changed bool) {
	c, md := g.consumer, m.cfg.Topics()
	if len(c.users) == 0 {
		return false
	}
	all := m.patternsDue(c, md.Version())
	for _, text := range slices.Sorted(maps.Keys(c.users)) {
		if old := c.patterns[text]; old == nil || all {
			changed = m.resolvePattern(g, text, old, md) || changed
		}
	}
	if all {
		c.resolved, c.resolvedAt = m.now, md.Version()
	}
	return changed
}

// patternsDue says whether all patterns are to be looked at anew.
func (m *Machine) patternsDue(c *consumerGroup, version uint64) bool {
	since := m.now.Sub(c.resolved)
	return since >= minPatternPause && (c.resolvedAt != version || since >= m.cfg.PatternRefresh)
}

func (m *Machine) resolvePattern(g *group, text string, old *pattern, md Metadata) (changed bool) {
	p := &pattern{topics: []string{}, version: int64(md.Version()), at: m.now}
	if re, err := compilePattern(text); err == nil { // who wrote the log may have allowed what we do not
		room := m.cfg.MaxRecordBytes - recordRoom
		for _, name := range md.TopicNames() {
			if !re.MatchString(name) {
				continue
			}
			if room -= 2 + len(name); room < 0 {
				break // the others do not fit into the record
			}
			p.topics = append(p.topics, name)
		}
	}
	if old != nil && slices.Equal(old.topics, p.topics) {
		return false
	}
	m.putDown(m.enc.pattern(g.id, text, p))
	return old != nil || len(p.topics) > 0
}

// forgetPattern writes that nobody uses a pattern any more.
func (m *Machine) forgetPattern(g *group, text string) {
	if g.consumer.patterns[text] != nil {
		m.putDown(entry.Record{Key: m.enc.consumerKey(keyConsumerPattern, g.id, text)})
	}
}
