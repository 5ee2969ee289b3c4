package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// runner plays one scenario. Not safe for concurrent use.
type runner struct {
	cluster *cluster
	vars    *variables
	conns   map[string]*conn
}

func (r *runner) closeAll() {
	for _, c := range r.conns {
		c.Close()
	}
}

func (r *runner) conn(name string) (*conn, error) {
	if c := r.conns[name]; c != nil {
		return c, nil
	}
	return r.connect(name, r.cluster.ids[0])
}

func (r *runner) connect(name string, node int64) (*conn, error) {
	if c := r.conns[name]; c != nil {
		c.Close()
	}
	addr, ok := r.cluster.addrs[node]
	if !ok {
		return nil, fmt.Errorf("node %d is unknown", node)
	}
	c, err := dial(addr)
	if err == nil {
		r.conns[name] = c
	}
	return c, err
}

// outcome is what one step gave, in normal form.
type outcome struct {
	lines []string
	notes []string
}

// play runs the steps and calls done after each; an error ends the scenario.
func (r *runner) play(s *scenario, done func(*step, outcome)) error {
	defer r.closeAll()
	for _, st := range s.steps {
		out, err := r.step(st.text)
		if err != nil {
			return fmt.Errorf("%s:%d: %s: %w", s.file, st.line, firstWords(st.text), err)
		}
		done(st, out)
	}
	return nil
}

func firstWords(s string) string {
	if len(s) > 70 {
		return s[:70] + "…"
	}
	return s
}

func (r *runner) step(text string) (outcome, error) {
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	args := strings.Fields(rest)
	switch {
	case strings.HasSuffix(word, ">>"):
		return r.send(strings.TrimSuffix(word, ">>"), rest, false)
	case strings.HasSuffix(word, ">"):
		return r.send(strings.TrimSuffix(word, ">"), rest, true)
	case strings.HasSuffix(word, "<"):
		return r.receive(strings.TrimSuffix(word, "<"), rest)
	case word == "fresh":
		for _, a := range args {
			r.vars.fresh(a)
		}
		return outcome{}, nil
	case word == "uuid":
		for _, a := range args {
			b := make([]byte, 16)
			rand.Read(b)
			b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
			r.vars.values[a] = base64.RawURLEncoding.EncodeToString(b)
		}
		return outcome{}, nil
	case word == "let":
		name, value, _ := strings.Cut(rest, " ")
		v, _, err := parseValue(value)
		if err == nil {
			v, err = r.vars.eval(v)
		}
		if v == "now" {
			v = time.Now().UnixMilli()
			r.vars.class[name] = "Timestamp"
		} else {
			r.vars.class[name] = "let"
		}
		r.vars.values[name] = v
		return outcome{}, err
	case word == "pause":
		d, err := time.ParseDuration(rest)
		time.Sleep(d)
		return outcome{}, err
	case word == "close":
		if c := r.conns[rest]; c != nil {
			c.Close()
			delete(r.conns, rest)
		}
		return outcome{}, nil
	case word == "topic":
		return outcome{}, r.topic(args)
	case word == "producer":
		return outcome{}, r.producer(args)
	case word == "member":
		return outcome{}, r.member(args)
	case word == "conn":
		return outcome{}, r.connectTo(args)
	}
	return outcome{}, fmt.Errorf("unknown command %q", word)
}

func options(args []string) map[string]string {
	o := map[string]string{}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		o[k] = v
	}
	return o
}

// resolve turns "$name" or plain text of a helper command into its value.
func (r *runner) resolve(s string) (string, error) {
	v, _, err := parseValue(s)
	if err == nil {
		v, err = r.vars.eval(v)
	}
	return fmt.Sprint(v), err
}

// until repeats try until it reports done, an error, or time is up.
func until(what string, try func() (bool, error)) error {
	var last error
	for end := time.Now().Add(retryFor); time.Now().Before(end); time.Sleep(retryEvery) {
		ok, err := try()
		if ok {
			return nil
		}
		last = err
	}
	return fmt.Errorf("%s: gave up after %s (%v)", what, retryFor, last)
}
