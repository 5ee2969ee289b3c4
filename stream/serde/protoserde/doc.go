// Package protoserde encodes values with Protocol Buffers, for those who have them in their topics; nothing else of Millrace imports it. Encodings are the binary ones,
// with nothing around them ([Of]) or with the frame that clients of schema registries write ([Framed]). It never speaks to a registry.
//
// Equal messages have equal bytes: map fields are sorted, so that a message can be a key, as long as all who write the topic are built with the same version of the
// message.
package protoserde
