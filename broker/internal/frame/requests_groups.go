package frame

// groupRequests are the requests of the group coordinator.
func groupRequests() []message {
	return []message{
		{ // OffsetCommit
			key: 8, min: 2, max: 10, flexible: 8,
			fields: []field{
				str, i32, str, str.since(7).null(), // group id, generation id or member epoch, member id, group instance id
				i64.until(4), // retention time ms
				structs( // topics
					uuid.since(10), str.until(9), // topic id, name
					structs( // partitions
						i32, i64, i32.since(6), // partition index, committed offset, committed leader epoch
						str.null(), // committed metadata
					),
				),
			},
		},
		{ // OffsetFetch
			key: 9, min: 1, max: 10, flexible: 6,
			fields: []field{
				structs( // groups
					str, str.since(9).null(), i32.since(9), // group id, member id, member epoch
					structs( // topics
						uuid.since(10), str.until(9), arrayOf(i32), // topic id, name, partition indexes
					).null(),
				).since(8),
				str.until(7), // group id
				structs( // topics
					str, arrayOf(i32), // name, partition indexes
				).until(7).nullSince(2),
				flag.since(7), // require stable
			},
		},
		{ // FindCoordinator
			key: 10, min: 0, max: 6, flexible: 3,
			fields: []field{
				str.until(3), i8.since(1), arrayOf(str).since(4), // key, key type, coordinator keys
			},
		},
		{ // JoinGroup
			key: 11, min: 0, max: 9, flexible: 6,
			fields: []field{
				str, i32, i32.since(1), str, // group id, session timeout ms, rebalance timeout ms, member id
				str.since(5).null(), str, // group instance id, protocol type
				structs( // protocols
					str, data, // name, metadata
				),
				str.since(8).null(), // reason
			},
		},
		{ // Heartbeat
			key: 12, min: 0, max: 4, flexible: 4,
			fields: []field{
				str, i32, str, str.since(3).null(), // group id, generation id, member id, group instance id
			},
		},
		{ // LeaveGroup
			key: 13, min: 0, max: 5, flexible: 4,
			fields: []field{
				str, // group id
				structs( // members
					str, str.null(), str.since(5).null(), // member id, group instance id, reason
				).since(3),
				str.until(2), // member id
			},
		},
		{ // SyncGroup
			key: 14, min: 0, max: 5, flexible: 4,
			fields: []field{
				str, i32, str, str.since(3).null(), // group id, generation id, member id, group instance id
				str.since(5).null(), str.since(5).null(), // protocol type, protocol name
				structs( // assignments
					str, data, // member id, assignment
				),
			},
		},
		{ // DescribeGroups
			key: 15, min: 0, max: 6, flexible: 5,
			fields: []field{
				arrayOf(str), flag.since(3), // groups, include authorized operations
			},
		},
		{ // ListGroups
			key: 16, min: 0, max: 5, flexible: 3,
			fields: []field{
				arrayOf(str).since(4), arrayOf(str).since(5), // states filter, types filter
			},
		},
		{ // DeleteGroups
			key: 42, min: 0, max: 2, flexible: 2,
			fields: []field{
				arrayOf(str), // groups names
			},
		},
		{ // OffsetDelete
			key: 47, min: 0, max: 0, flexible: never,
			fields: []field{
				str, // group id
				structs( // topics
					str, // name
					structs( // partitions
						i32, // partition index
					),
				),
			},
		},
		{ // ConsumerGroupHeartbeat
			key: 68, min: 0, max: 1, flexible: 0,
			fields: []field{
				str, str, i32, str.null(), str.null(), // group id, member id, member epoch, instance id, rack id
				i32, arrayOf(str).null(), // rebalance timeout ms, subscribed topic names
				str.since(1).null(), str.null(), // subscribed topic regex, server assignor
				structs( // topic partitions
					uuid, arrayOf(i32), // topic id, partitions
				).null(),
			},
		},
		{ // ConsumerGroupDescribe
			key: 69, min: 0, max: 1, flexible: 0,
			fields: []field{
				arrayOf(str), flag, // group ids, include authorized operations
			},
		},
	}
}
