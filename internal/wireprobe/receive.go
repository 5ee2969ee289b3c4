package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type callOptions struct{ call *call }

// receive reads the next answer on a connection: "a<", with an optional NAME vN to decode a hand-made frame's answer.
func (r *runner) receive(connName, text string) (outcome, error) {
	head, _, _ := strings.Cut(text, "{")
	_, capture, _ := strings.Cut(text, " -> ")
	if capture != "" {
		head = head + " -> " + capture
	}
	head = strings.TrimSpace(head)
	if strings.HasPrefix(head, "->") || strings.Contains(strings.SplitN(head+" ", " ", 2)[0], "=") || knownOptions[head] {
		head = "next " + head
	}
	call, err := r.parseCall(head)
	if err != nil {
		return outcome{}, err
	}
	return r.receiveCall(connName, &callOptions{call: call})
}

func (r *runner) receiveCall(connName string, o *callOptions) (outcome, error) {
	out, _, err := r.receiveOnce(connName, o)
	return out, err
}

// receiveOnce reads one answer; again says that a retry= or until= option wants the request repeated.
func (r *runner) receiveOnce(connName string, o *callOptions) (out outcome, again bool, err error) {
	c, err := r.conn(connName)
	if err != nil {
		return out, false, err
	}
	call := o.call
	within := answerTimeout
	if w := call.opts["within"]; w != "" {
		if within, err = time.ParseDuration(w); err != nil {
			return out, false, err
		}
	}
	begin := time.Now()
	body, err := c.readFrame(within)
	took := time.Since(begin)
	switch {
	case errors.Is(err, errSilent):
		return outcome{lines: []string{"silent"}}, false, nil
	case errors.Is(err, io.EOF):
		return outcome{lines: []string{"closed"}}, false, nil
	case err != nil:
		return outcome{lines: []string{"broken: " + err.Error()}}, false, nil
	}
	var of sent
	id := int32(binary.BigEndian.Uint32(body))
	position := 0
	for i, w := range c.waiting {
		if w.req == nil || w.id == id {
			of, position = w, i
			c.waiting = append(c.waiting[:i:i], c.waiting[i+1:]...)
			break
		}
	}
	if position > 0 {
		out.lines = append(out.lines, fmt.Sprintf("out of order: answers request %d of those waiting", position+1))
	}
	if of.req == nil && call.name != "" && call.name != "next" && call.name != "raw" && call.name != "frame" {
		if of.req, err = requestByName(call.name); err != nil {
			return out, false, err
		}
		of.req.SetVersion(call.version)
		out.lines = append(out.lines, fmt.Sprintf("id %d", id))
	}
	if of.req == nil {
		out.lines = append(out.lines, fmt.Sprintf("id %d, %s", id, formatBytes(body[4:])))
		return out, false, nil
	}
	resp, err := decode(of.req, body)
	if err != nil {
		out.lines = append(out.lines, "undecodable: "+err.Error())
		if resp == nil {
			return out, false, nil
		}
	}
	if codes := call.opts["retry"]; codes != "" && mentionsError(resp, codes) {
		return outcome{lines: []string{"retry"}}, true, nil
	}
	for _, cap := range call.capture {
		name, path, _ := strings.Cut(cap, "=")
		v, ok := findField(reflect.ValueOf(resp), path)
		if !ok {
			return out, false, fmt.Errorf("no field %s to capture in %s", path, formatInline((&normaliser{vars: r.vars}).response(resp)))
		}
		r.vars.values[name] = v
		r.vars.class[name] = path
	}
	n := &normaliser{vars: r.vars, hide: map[string]bool{}, keep: map[string]string{}, mine: map[string]bool{}, only: map[string]bool{}}
	for _, h := range strings.FieldsFunc(call.opts["hide"], isComma) {
		n.hide[h] = true
	}
	for _, f := range strings.FieldsFunc(call.opts["only"], isComma) {
		n.only[f] = true
	}
	for _, m := range strings.FieldsFunc(call.opts["mine"], isComma) {
		n.mine[m] = true
	}
	for _, k := range strings.Split(call.opts["keep"], ";") {
		list, texts, _ := strings.Cut(k, ":")
		if list != "" {
			n.keep[list] = texts
		}
	}
	_, n.ordered = call.opts["ordered"]
	shown := n.response(resp)
	whole := formatInline(shown)
	n.keepOnly(shown)
	if want := call.opts["until"]; want != "" && !strings.Contains(strings.ReplaceAll(whole, " ", ""), want) {
		return outcome{lines: formatLines(shown)}, true, nil
	}
	if t := call.opts["took"]; t != "" {
		d, err := time.ParseDuration(t)
		if err != nil {
			return out, false, err
		}
		if took < d {
			out.lines = append(out.lines, "took less than "+t)
		} else {
			out.lines = append(out.lines, "took at least "+t)
		}
	}
	out.lines = append(out.lines, formatLines(shown)...)
	out.notes = append(out.notes, n.notes...)
	return out, false, nil
}

func isComma(r rune) bool { return r == ',' }

// mentionsError reports whether any error code of the answer is among the comma-separated names.
func mentionsError(resp kmsg.Response, codes string) bool {
	shown := formatInline((&normaliser{vars: newVariables(nil)}).response(resp))
	for _, code := range strings.Split(codes, ",") {
		if strings.Contains(shown, "ErrorCode: "+code) {
			return true
		}
	}
	return false
}

// findField returns the first field of that name, depth first, as a script value.
func findField(v reflect.Value, name string) (any, bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, false
		}
		return findField(v.Elem(), name)
	case reflect.Slice:
		for i := range v.Len() {
			if got, ok := findField(v.Index(i), name); ok {
				return got, true
			}
		}
	case reflect.Struct:
		if f := v.FieldByName(name); f.IsValid() {
			return scriptValue(f)
		}
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			if got, ok := findField(v.Field(i), name); ok {
				return got, true
			}
		}
	}
	return nil, false
}

func scriptValue(f reflect.Value) (any, bool) {
	switch f.Kind() {
	case reflect.Pointer:
		if f.IsNil() {
			return nil, true
		}
		return scriptValue(f.Elem())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return f.Int(), true
	case reflect.String:
		return f.String(), true
	case reflect.Array:
		b := make([]byte, f.Len())
		reflect.Copy(reflect.ValueOf(b), f)
		return b, true
	case reflect.Slice:
		if f.Type().Elem().Kind() == reflect.Uint8 {
			return f.Bytes(), true
		}
	}
	return nil, false
}
