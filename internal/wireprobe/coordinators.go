package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// coordinator finds the node that coordinates a group (0) or a transactional id (1).
func (r *runner) coordinator(kind int8, key string) (node int64, err error) {
	c, err := dial(r.cluster.addrs[r.cluster.ids[0]])
	if err != nil {
		return 0, err
	}
	defer c.Close()
	err = until("coordinator of "+key, func() (bool, error) {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.SetVersion(4)
		req.CoordinatorType, req.CoordinatorKeys = kind, []string{key}
		resp, err := c.ask(req)
		if err != nil {
			return false, err
		}
		k := resp.(*kmsg.FindCoordinatorResponse).Coordinators[0]
		node = int64(k.NodeID)
		if k.ErrorCode != 0 {
			return false, nil
		}
		return r.coordinatorReady(kind, key, node)
	})
	return node, err
}

// coordinatorReady asks something harmless, to see that the coordinator has loaded its partition.
func (r *runner) coordinatorReady(kind int8, key string, node int64) (bool, error) {
	c, err := dial(r.cluster.addrs[node])
	if err != nil {
		return false, err
	}
	defer c.Close()
	if kind == 0 {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.SetVersion(0)
		req.Groups = []string{key}
		resp, err := c.ask(req)
		if err != nil {
			return false, err
		}
		code := resp.(*kmsg.DescribeGroupsResponse).Groups[0].ErrorCode
		return code < 14 || code > 16, nil
	}
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{key}
	resp, err := c.ask(req)
	if err != nil {
		return false, err
	}
	code := resp.(*kmsg.DescribeTransactionsResponse).TransactionStates[0].ErrorCode
	return code < 14 || code > 16, nil
}

// conn NAME [node=N | group=$g | notgroup=$g | txn=$x] opens a connection to a node, by default the first.
func (r *runner) connectTo(args []string) error {
	node := r.cluster.ids[0]
	for k, v := range options(args[1:]) {
		text, err := r.resolve(v)
		if err != nil {
			return err
		}
		switch k {
		case "node":
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > len(r.cluster.ids) {
				return fmt.Errorf("no node %q", text)
			}
			node = r.cluster.ids[n-1]
		case "group", "txn":
			if node, err = r.coordinator(map[string]int8{"group": 0, "txn": 1}[k], text); err != nil {
				return err
			}
		case "notgroup":
			owner, err := r.coordinator(0, text)
			if err != nil {
				return err
			}
			for _, id := range r.cluster.ids {
				if id != owner {
					node = id
				}
			}
		default:
			return fmt.Errorf("unknown option %q", k)
		}
	}
	_, err := r.connect(args[0], node)
	return err
}

// producer NAME [txn=$x] [timeout=MS] gets a producer id: $NAME and $NAME.epoch.
func (r *runner) producer(args []string) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.SetVersion(4)
	req.TransactionTimeoutMillis = 20000
	node := r.cluster.ids[0]
	for k, v := range options(args[1:]) {
		text, err := r.resolve(v)
		if err != nil {
			return err
		}
		switch k {
		case "txn":
			req.TransactionalID = &text
			if node, err = r.coordinator(1, text); err != nil {
				return err
			}
		case "timeout":
			n, _ := strconv.Atoi(text)
			req.TransactionTimeoutMillis = int32(n)
		default:
			return fmt.Errorf("unknown option %q", k)
		}
	}
	c, err := dial(r.cluster.addrs[node])
	if err != nil {
		return err
	}
	defer c.Close()
	return until("producer", func() (bool, error) {
		resp, err := c.ask(req)
		if err != nil {
			return false, err
		}
		p := resp.(*kmsg.InitProducerIDResponse)
		if p.ErrorCode != 0 {
			return false, errors.New(formatInline(errorName(p.ErrorCode)))
		}
		r.vars.values[args[0]], r.vars.class[args[0]] = p.ProducerID, "ProducerID"
		r.vars.values[args[0]+".epoch"] = int64(p.ProducerEpoch)
		return true, nil
	})
}

// member NAME $group $topic… joins a classic group alone and gets every partition 0: $NAME and $NAME.gen.
func (r *runner) member(args []string) error {
	group, err := r.resolve(args[1])
	if err != nil {
		return err
	}
	meta := kmsg.NewConsumerMemberMetadata()
	assigned := kmsg.NewConsumerMemberAssignment()
	for _, a := range args[2:] {
		t, err := r.resolve(a)
		if err != nil {
			return err
		}
		meta.Topics = append(meta.Topics, t)
		assigned.Topics = append(assigned.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: t, Partitions: []int32{0}})
	}
	node, err := r.coordinator(0, group)
	if err != nil {
		return err
	}
	c, err := dial(r.cluster.addrs[node])
	if err != nil {
		return err
	}
	r.conns["member "+args[0]] = c // stays open until the scenario ends
	join := kmsg.NewPtrJoinGroupRequest()
	join.SetVersion(5)
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = group, 20000, 20000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: meta.AppendTo(nil)}}
	return until("member of "+group, func() (bool, error) {
		resp, err := c.ask(join)
		if err != nil {
			return false, err
		}
		j := resp.(*kmsg.JoinGroupResponse)
		join.MemberID = j.MemberID
		if j.ErrorCode != 0 {
			return false, errors.New(formatInline(errorName(j.ErrorCode)))
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.SetVersion(3)
		sync.Group, sync.Generation, sync.MemberID = group, j.Generation, j.MemberID
		sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: j.MemberID, MemberAssignment: assigned.AppendTo(nil)}}
		if resp, err = c.ask(sync); err != nil {
			return false, err
		}
		if code := resp.(*kmsg.SyncGroupResponse).ErrorCode; code != 0 {
			return false, errors.New(formatInline(errorName(code)))
		}
		r.vars.values[args[0]] = j.MemberID
		r.vars.values[args[0]+".gen"] = int64(j.Generation)
		return true, nil
	})
}
