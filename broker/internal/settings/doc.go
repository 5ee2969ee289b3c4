// Package settings is the catalogue of everything that can be configured by a Kafka name: broker settings, topic configs and group configs.
//
// A definition says name, type, default, bounds and, for a topic config, which broker setting gives its default. From the definitions come the
// validation of what users write, the typed values that the rest of the broker reads, and every line of a DescribeConfigs answer, so that the
// three cannot disagree.
//
// The package is pure: no clock, no file, no network. Values are immutable once parsed; a change makes a new value.
//
// Asking for a name that the catalogue does not hold is a bug of the caller and panics; a user's unknown or unparsable value is an error that
// names it.
package settings
