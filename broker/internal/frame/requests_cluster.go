package frame

// clusterRequests are the requests about the cluster, its users and their rights.
func clusterRequests() []message {
	return []message{
		{ // DescribeAcls
			key: 29, min: 1, max: 3, flexible: 2,
			fields: []field{
				i8, str.null(), i8, // resource type filter, resource name filter, pattern type filter
				str.null(), str.null(), i8, i8, // principal filter, host filter, operation, permission type
			},
		},
		{ // CreateAcls
			key: 30, min: 1, max: 3, flexible: 2,
			fields: []field{
				structs( // creations
					i8, str, i8, str, str, i8, // resource type, resource name, resource pattern type, principal, host, operation
					i8, // permission type
				),
			},
		},
		{ // DeleteAcls
			key: 31, min: 1, max: 3, flexible: 2,
			fields: []field{
				structs( // filters
					i8, str.null(), i8, // resource type filter, resource name filter, pattern type filter
					str.null(), str.null(), i8, i8, // principal filter, host filter, operation, permission type
				),
			},
		},
		{ // ElectLeaders
			key: 43, min: 0, max: 2, flexible: 2,
			fields: []field{
				i8.since(1), // election type
				structs( // topic partitions
					str, arrayOf(i32), // topic, partitions
				).null(),
				i32, // timeout ms
			},
		},
		{ // AlterPartitionReassignments
			key: 45, min: 0, max: 1, flexible: 0,
			fields: []field{
				i32, flag.since(1), // timeout ms, allow replication factor change
				structs( // topics
					str, // name
					structs( // partitions
						i32, arrayOf(i32).null(), // partition index, replicas
					),
				),
			},
		},
		{ // ListPartitionReassignments
			key: 46, min: 0, max: 0, flexible: 0,
			fields: []field{
				i32, // timeout ms
				structs( // topics
					str, arrayOf(i32), // name, partition indexes
				).null(),
			},
		},
		{ // DescribeClientQuotas
			key: 48, min: 0, max: 1, flexible: 1,
			fields: []field{
				structs( // components
					str, i8, str.null(), // entity type, match type, match
				),
				flag, // strict
			},
		},
		{ // AlterClientQuotas
			key: 49, min: 0, max: 1, flexible: 1,
			fields: []field{
				structs( // entries
					structs( // entity
						str, str.null(), // entity type, entity name
					),
					structs( // ops
						str, f64, flag, // key, value, remove
					),
				),
				flag, // validate only
			},
		},
		{ // DescribeUserScramCredentials
			key: 50, min: 0, max: 0, flexible: 0,
			fields: []field{
				structs( // users
					str, // name
				).null(),
			},
		},
		{ // AlterUserScramCredentials
			key: 51, min: 0, max: 0, flexible: 0,
			fields: []field{
				structs( // deletions
					str, i8, // name, mechanism
				),
				structs( // upsertions
					str, i8, i32, data, data, // name, mechanism, iterations, salt, salted password
				),
			},
		},
		{ // DescribeQuorum
			key: 55, min: 0, max: 2, flexible: 0,
			fields: []field{
				structs( // topics
					str, // topic name
					structs( // partitions
						i32, // partition index
					),
				),
			},
		},
		{ // UpdateFeatures
			key: 57, min: 0, max: 2, flexible: 0,
			fields: []field{
				i32, // timeout ms
				structs( // feature updates
					str, i16, i8.since(1), flag.until(0), // feature, max version level, upgrade type, allow downgrade
				),
				flag.since(1), // validate only
			},
		},
		{ // DescribeCluster
			key: 60, min: 0, max: 2, flexible: 0,
			fields: []field{
				flag, i8.since(1), flag.since(2), // include cluster authorized operations, endpoint type, include fenced brokers
			},
		},
	}
}
