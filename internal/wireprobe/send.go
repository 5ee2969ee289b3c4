package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
)

// call is a parsed request step: NAME vN option… {body} -> var=Field….
type call struct {
	name    string
	version int16
	opts    map[string]string
	body    *object
	capture []string
}

func (r *runner) parseCall(text string) (*call, error) {
	head, capture, _ := strings.Cut(text, " -> ")
	c := &call{capture: strings.Fields(capture), opts: map[string]string{}, body: &object{}}
	if i := strings.IndexByte(head, '{'); i >= 0 {
		v, rest, err := parseValue(head[i:])
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(rest) != "" {
			return nil, fmt.Errorf("text after the body: %q", rest)
		}
		if v, err = r.vars.eval(v); err != nil {
			return nil, err
		}
		c.body = v.(*object)
		head = head[:i]
	}
	words := strings.Fields(head)
	if len(words) == 0 {
		return c, nil
	}
	c.name = words[0]
	words = words[1:]
	if len(words) > 0 && strings.HasPrefix(words[0], "v") {
		if n, err := strconv.Atoi(words[0][1:]); err == nil {
			c.version, words = int16(n), words[1:]
		}
	}
	c.opts = options(words)
	for k := range c.opts {
		if !knownOptions[k] {
			return nil, fmt.Errorf("unknown option %q", k)
		}
	}
	return c, nil
}

var knownOptions = map[string]bool{"retry": true, "until": true, "hide": true, "keep": true, "mine": true, "only": true, "ordered": true, "cut": true,
	"trail": true, "oneway": true, "within": true, "took": true}

func (r *runner) send(connName, text string, wait bool) (outcome, error) {
	c, err := r.conn(connName)
	if err != nil {
		return outcome{}, err
	}
	call, err := r.parseCall(text)
	if err != nil {
		return outcome{}, err
	}
	switch call.name {
	case "raw":
		b, err := bytesOf(mustField(call.body, "bytes"))
		if err != nil {
			return outcome{}, err
		}
		c.waiting = append(c.waiting, sent{})
		if err := c.write(b); err != nil || !wait {
			return closedIf(err), nil
		}
		return r.receive(connName, text[len("raw"):])
	case "frame":
		b, err := customFrame(call.body)
		if err != nil {
			return outcome{}, err
		}
		c.waiting = append(c.waiting, sent{})
		if err := c.write(b); err != nil || !wait {
			return closedIf(err), nil
		}
		return r.receiveCall(connName, &callOptions{call: call})
	}
	req, err := requestByName(call.name)
	if err != nil {
		return outcome{}, err
	}
	req.SetVersion(call.version)
	probeDefaults(req)
	if err := fill(reflect.ValueOf(req).Elem(), call.body, call.name); err != nil {
		return outcome{}, err
	}
	probeDefaultsInside(req)
	var out outcome
	err = until("answer", func() (bool, error) {
		id := c.nextID
		c.nextID++
		cut, _ := strconv.Atoi(call.opts["cut"])
		var trail []byte
		if t := call.opts["trail"]; t != "" {
			trail = make([]byte, len(t)/2)
			fmt.Sscanf(t, "%x", &trail)
		}
		werr := c.write(frame(req, id, cut, trail))
		if _, oneway := call.opts["oneway"]; !oneway {
			c.waiting = append(c.waiting, sent{id, req})
		}
		if werr != nil && wait {
			out = outcome{lines: []string{"closed"}}
			return true, nil
		}
		if !wait {
			return true, nil
		}
		o, again, err := r.receiveOnce(connName, &callOptions{call: call})
		if err != nil {
			return true, err
		}
		out = o
		return !again, errors.New(strings.Join(o.lines, " "))
	})
	return out, err
}

func closedIf(err error) outcome {
	if err != nil {
		return outcome{lines: []string{"closed"}}
	}
	return outcome{}
}

func mustField(o *object, name string) any {
	v, _ := o.get(name)
	return v
}

// customFrame builds a request byte by byte: frame{key, version, id, client, flexible, body, size, noHeader}.
func customFrame(o *object) ([]byte, error) {
	key, version, id, size := int64(18), int64(0), int64(7), int64(unset)
	var client any = clientID
	var body, tags []byte
	flexible := false
	err := intsFrom(o, map[string]*int64{"key": &key, "version": &version, "id": &id, "size": &size}, func(f field) (err error) {
		switch f.name {
		case "client":
			client = f.value
		case "flexible":
			flexible = f.value == true
		case "tags":
			tags, err = bytesOf(f.value)
			flexible = true
		case "body":
			body, err = bytesOf(f.value)
		default:
			err = errors.New("unknown field")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	dst := binary.BigEndian.AppendUint32(nil, 0)
	dst = kbin.AppendInt16(dst, int16(key))
	dst = kbin.AppendInt16(dst, int16(version))
	dst = kbin.AppendInt32(dst, int32(id))
	if s, ok := client.(string); ok {
		dst = kbin.AppendString(dst, s)
	} else {
		dst = kbin.AppendInt16(dst, -1)
	}
	if flexible {
		if tags == nil {
			tags = []byte{0}
		}
		dst = append(dst, tags...)
	}
	dst = append(dst, body...)
	if size == unset {
		size = int64(len(dst) - 4)
	}
	binary.BigEndian.PutUint32(dst, uint32(size))
	return dst, nil
}
