// Package avroserde encodes values with Avro, for those who have Avro in their topics; nothing else of Millrace imports it. Encodings are Avro's binary ones, with
// nothing around them ([Of]) or with the frame that clients of schema registries write ([Framed]). It never speaks to a registry: who has one gives the function that
// looks up a schema.
package avroserde
