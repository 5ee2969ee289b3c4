package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleDescribeLogDirs tells the sizes of logs in the one data directory.
func handleDescribeLogDirs(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeLogDirsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = n.DataDir
	if err := n.Replicas.Err(); err != nil {
		dir.ErrorCode, dir.TotalBytes, dir.UsableBytes = Code(err), -1, -1
		resp.Dirs = append(resp.Dirs, dir)
		return resp, nil
	}
	dir.TotalBytes, dir.UsableBytes = n.DiskSpace()
	im := n.Image()
	if req.Topics == nil {
		for _, t := range im.Topics() {
			dir.Topics = append(dir.Topics, n.logSizes(t, nil))
		}
	}
	topics, wanted := seen[string]{}, seen[partitionName]{}
	for _, asked := range req.Topics {
		for _, p := range asked.Partitions {
			wanted.first(partitionName{asked.Topic, p})
		}
	}
	for _, asked := range req.Topics {
		if t := im.Topic(asked.Topic); t != nil && topics.first(asked.Topic) {
			if out := n.logSizes(t, wanted); len(out.Partitions) > 0 {
				dir.Topics = append(dir.Topics, out)
			}
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return resp, nil
}

// logSizes lists the partitions of a topic; nil wants all of them.
func (n *Node) logSizes(t *controller.Topic, wanted seen[partitionName]) kmsg.DescribeLogDirsResponseDirTopic {
	out := kmsg.NewDescribeLogDirsResponseDirTopic()
	out.Topic = t.Name
	for i := range t.Partitions {
		if _, ok := wanted[partitionName{t.Name, int32(i)}]; wanted != nil && !ok {
			continue
		}
		p, err := n.Replicas.PartitionByID(t.ID, int32(i))
		if err != nil || p.Log() == nil {
			continue
		}
		res := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		res.Partition, res.Size = int32(i), p.Log().Size()
		out.Partitions = append(out.Partitions, res)
	}
	return out
}
