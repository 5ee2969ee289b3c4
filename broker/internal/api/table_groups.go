package api

import "github.com/twmb/franz-go/pkg/kmsg"

// groupAPIs are the APIs of the group coordinator.
func groupAPIs() []API {
	return []API{
		{Key: int16(kmsg.OffsetCommit), Min: 2, Max: 10, Handle: handleOffsetCommit, Needs: needs(onGroup(OpRead), onTopic(OpRead))},
		{Key: int16(kmsg.OffsetFetch), Min: 1, Max: 10, Handle: handleOffsetFetch, Needs: needs(onGroup(OpDescribe), onTopic(OpDescribe))},
		{Key: int16(kmsg.FindCoordinator), Min: 0, Max: 6, Handle: handleFindCoordinator, Needs: needs(onGroup(OpDescribe), onTxn(OpDescribe))},
		{Key: int16(kmsg.JoinGroup), Min: 0, Max: 9, Handle: handleJoinGroup, Needs: needs(onGroup(OpRead))},
		{Key: int16(kmsg.Heartbeat), Min: 0, Max: 4, Handle: handleHeartbeat, Needs: needs(onGroup(OpRead))},
		{Key: int16(kmsg.LeaveGroup), Min: 0, Max: 5, Handle: handleLeaveGroup, Needs: needs(onGroup(OpRead))},
		{Key: int16(kmsg.SyncGroup), Min: 0, Max: 5, Handle: handleSyncGroup, Needs: needs(onGroup(OpRead))},
		{Key: int16(kmsg.DescribeGroups), Min: 0, Max: 6, Handle: handleDescribeGroups, Needs: needs(onGroup(OpDescribe))},
		{Key: int16(kmsg.ListGroups), Min: 0, Max: 5, Handle: handleListGroups, Needs: needs(onCluster(OpDescribe), onGroup(OpDescribe))},
		{Key: int16(kmsg.DeleteGroups), Min: 0, Max: 2, Handle: handleDeleteGroups, Needs: needs(onGroup(OpDelete))},
		{Key: int16(kmsg.ConsumerGroupHeartbeat), Min: 0, Max: 1, Handle: handleConsumerGroupHeartbeat, Needs: needs(onGroup(OpRead), onTopic(OpDescribe))},
		{Key: int16(kmsg.ConsumerGroupDescribe), Min: 0, Max: 1, Handle: handleConsumerGroupDescribe, Needs: needs(onGroup(OpDescribe), onTopic(OpDescribe))},
		{Key: int16(kmsg.OffsetDelete), Min: 0, Max: 0, Handle: handleOffsetDelete, Needs: needs(onGroup(OpDelete), onTopic(OpRead))},
	}
}
