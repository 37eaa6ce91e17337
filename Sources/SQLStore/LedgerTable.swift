/// What a ledger consists of, for moving one from a store to another. Every store has these tables and columns, or can
/// say what would be in them.
public struct LedgerTable: Sendable {
  public let name: String
  public let columns: [Column]
  /// The columns rows are ordered by, which no two rows share.
  public let order: [String]

  public struct Column: Sendable {
    public let name: String
    public let kind: Kind
  }

  public enum Kind: Sendable {
    case integer, bytes, text
    /// 16 bytes.
    case uuid
  }

  private init(_ name: String, by order: String..., columns: KeyValuePairs<String, Kind>) {
    self.name = name
    self.order = order
    self.columns = columns.map { Column(name: $0.key, kind: $0.value) }
  }

  /// All of them, each after those it refers to. The time `moved` and an owner that can be found by way of the chain are
  /// among the columns though not every store has them.
  public static let all: [LedgerTable] = [
    LedgerTable("eras", by: "number", columns: ["number": .integer, "begun": .integer, "reason": .text]),
    LedgerTable(
      "accounts", by: "id",
      columns: [
        "id": .integer, "name": .text, "daily_quota": .integer, "created": .integer, "deleted": .integer,
      ]),
    LedgerTable(
      "api_keys", by: "id",
      columns: [
        "id": .integer, "account_id": .integer, "hash": .bytes, "prefix": .text, "mode": .integer,
        "allowed_networks": .text, "allowed_referers": .text, "created": .integer, "revoked": .integer, "name": .text,
        "scopes": .integer, "daily_quota": .integer,
      ]),
    LedgerTable("sign_ins", by: "account_id", columns: ["account_id": .integer, "email": .text, "password": .text]),
    LedgerTable(
      "sessions", by: "digest",
      columns: ["digest": .bytes, "account_id": .integer, "created": .integer, "expires": .integer]),
    LedgerTable(
      "key_activity", by: "key_id",
      columns: ["key_id": .integer, "last_used": .integer, "denied": .integer, "last_denied": .integer]),
    LedgerTable(
      "chains", by: "id",
      columns: [
        "id": .integer, "owner_id": .integer, "client_seed": .bytes, "era": .integer, "epoch": .integer,
        "server_hash": .bytes, "cursor": .integer, "nonce": .integer, "created": .integer, "moved": .integer,
        "trail": .bytes,
      ]),
    LedgerTable(
      "revealed_seeds", by: "chain_id", "epoch",
      columns: [
        "owner_id": .integer, "chain_id": .integer, "era": .integer, "epoch": .integer, "server_seed": .bytes,
        "server_hash": .bytes, "cursor": .integer, "nonce": .integer, "revealed": .integer,
      ]),
    LedgerTable(
      "commitments", by: "chain_id",
      columns: [
        "chain_id": .integer, "commit_id": .uuid, "owner_id": .integer, "sealed_seed": .bytes, "server_hash": .bytes,
        "created": .integer, "expires": .integer, "revealed": .integer, "outcome_id": .integer, "client_seed": .bytes,
      ]),
    LedgerTable(
      "outcomes", by: "id",
      columns: [
        "id": .integer, "owner_id": .integer, "chain_id": .integer, "previous": .integer, "jump": .integer,
        "epoch": .integer, "cursor": .integer, "nonce": .integer, "endpoint": .integer, "value": .bytes,
        "fields": .bytes, "items": .bytes, "created": .integer,
      ]),
    LedgerTable(
      "test_outcomes", by: "id",
      columns: [
        "id": .integer, "account_id": .integer, "digest": .bytes, "client_seed": .bytes, "server_hash": .bytes,
        "endpoint": .integer, "value": .bytes, "fields": .bytes, "items": .bytes, "created": .integer,
      ]),
    LedgerTable(
      "account_runs", by: "owner_id", "number",
      columns: ["owner_id": .integer, "number": .integer, "first": .integer, "last": .integer]),
    LedgerTable(
      "imported_outcomes", by: "id",
      columns: [
        "id": .integer, "account_id": .integer, "short_id": .text, "client_seed": .bytes, "server_hash": .bytes,
        "cursor": .integer, "nonce": .integer, "endpoint": .integer, "value": .bytes, "fields": .bytes,
        "items": .bytes, "server_seed": .bytes, "created": .integer, "permalink": .text, "imported": .integer,
      ]),
    LedgerTable("renderings", by: "id", columns: ["id": .integer, "format": .integer, "public_url": .text]),
    LedgerTable(
      "idempotency", by: "digest",
      columns: [
        "digest": .uuid, "request": .integer, "fingerprint": .bytes, "status": .integer, "answer": .bytes,
        "created": .integer,
      ]),
    LedgerTable(
      "usage", by: "account_id", "day", "endpoint",
      columns: ["account_id": .integer, "day": .integer, "endpoint": .integer, "count": .integer]),
    LedgerTable(
      "usage_hours", by: "account_id", "hour",
      columns: ["account_id": .integer, "hour": .integer, "day": .integer, "drawn": .integer]),
    LedgerTable(
      "key_usage", by: "key_id", "day",
      columns: ["account_id": .integer, "key_id": .integer, "day": .integer, "count": .integer]),
    LedgerTable(
      "merkle_days", by: "day",
      columns: [
        "day": .integer, "root": .bytes, "leaf_count": .integer, "previous_root": .bytes, "signature": .bytes,
        "published": .integer,
      ]),
    LedgerTable(
      "merkle_tiles", by: "day", "level", "number",
      columns: ["day": .integer, "level": .integer, "number": .integer, "hashes": .bytes]),
    LedgerTable("merkle_leaves", by: "outcome_id", columns: ["outcome_id": .integer, "leaf": .integer]),
    LedgerTable(
      "logs", by: "era",
      columns: [
        "era": .integer, "origin": .text, "size": .integer, "signed_size": .integer, "checkpoint": .text,
        "keeper": .bytes, "kept_until": .integer, "asked_until": .integer,
      ]),
    LedgerTable(
      "log_queue", by: "id",
      columns: ["id": .integer, "drawn": .integer, "entries": .bytes]),
    LedgerTable(
      "log_tiles", by: "era", "level", "number",
      columns: ["era": .integer, "level": .integer, "number": .integer, "hashes": .bytes]),
    LedgerTable(
      "log_bundles", by: "era", "number",
      columns: [
        "era": .integer, "number": .integer, "first_drawn": .integer, "last_drawn": .integer, "entries": .bytes,
        "logged": .bytes,
      ]),
    LedgerTable(
      "log_growth", by: "era", "minute",
      columns: ["era": .integer, "minute": .integer, "first_size": .integer, "size": .integer, "last": .integer]),
    LedgerTable(
      "log_cosignatures", by: "era", "size", "witness",
      columns: [
        "era": .integer, "size": .integer, "witness": .text, "checkpoint": .text, "line": .text, "made": .integer,
      ]),
    LedgerTable(
      "webhook_endpoints", by: "id",
      columns: [
        "id": .integer, "account_id": .integer, "url": .text, "sealed_secret": .bytes, "sealed_old_secret": .bytes,
        "old_expires": .integer, "created": .integer, "disabled": .integer, "disabled_reason": .text,
        "deleted": .integer, "failing_since": .integer, "events": .integer,
      ]),
    LedgerTable(
      "deliveries", by: "id",
      columns: [
        "id": .integer, "endpoint_id": .integer, "outcome_id": .integer, "created": .integer, "due": .integer,
        "state": .integer, "attempts": .integer, "resent": .integer, "claim": .integer, "expires": .integer,
        "event": .integer, "data": .bytes,
      ]),
    LedgerTable(
      "delivery_attempts", by: "delivery_id", "number",
      columns: [
        "delivery_id": .integer, "number": .integer, "at": .integer, "status": .integer, "latency": .integer,
        "error": .text, "answer": .bytes,
      ]),
  ]
}
