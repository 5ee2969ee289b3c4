package main

import (
	"errors"
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	retryFor   = 15 * time.Second
	retryEvery = 40 * time.Millisecond
)

// cluster is what the probe learnt of the brokers under test before it started.
type cluster struct {
	addrs map[int64]string // by node id
	ids   []int64          // sorted; $node1 is the first

	controller int64 // where helper commands make topics; brokers that forward name any
}

func discover(bootstrap string) (*cluster, error) {
	var last error
	seeds := strings.Split(bootstrap, ",")
	for end := time.Now().Add(retryFor); time.Now().Before(end); time.Sleep(retryEvery) {
		cl, err := discoverOnce(seeds[0])
		if err == nil && len(cl.ids) < len(seeds) {
			err = fmt.Errorf("%d of %d brokers are up", len(cl.ids), len(seeds))
		}
		if err == nil {
			return cl, cl.warm()
		}
		last = err
	}
	return nil, last
}

func discoverOnce(addr string) (*cluster, error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(9)
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := c.ask(req)
	if err != nil {
		return nil, err
	}
	cl := &cluster{addrs: map[int64]string{}, controller: int64(resp.(*kmsg.MetadataResponse).ControllerID)}
	for _, b := range resp.(*kmsg.MetadataResponse).Brokers {
		cl.addrs[int64(b.NodeID)] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		cl.ids = append(cl.ids, int64(b.NodeID))
	}
	sort.Slice(cl.ids, func(i, j int) bool { return cl.ids[i] < cl.ids[j] })
	if len(cl.ids) == 0 {
		return nil, errors.New("no brokers in Metadata")
	}
	return cl, nil
}

// warm waits until groups and transactions have coordinators, whatever partition a name falls on.
func (cl *cluster) warm() error {
	r := &runner{cluster: cl, vars: newVariables(cl.ids), conns: map[string]*conn{}}
	defer r.closeAll()
	for kind := int8(0); kind <= 1; kind++ {
		for range 24 {
			if _, err := r.coordinator(kind, "warm-"+randomHex(4)); err != nil {
				return err
			}
		}
	}
	return r.producer([]string{"warm"}) // the first one may have to wait for a block of producer ids
}
