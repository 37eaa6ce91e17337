import Ledger
import SQLStore

/// What the group writer remembers from group to group: true as long as the database's `data_version` stays.
struct GroupMemory {
  enum Key {
    /// Unknown or revoked.
    case unusable
    case usable(KeyQuota?)
  }

  let dataVersion: Int64
  var lastOutcome: Int64
  var lastChain: Int64
  var day: Day
  /// The rendering of the last answers, with its number.
  var rendering: (rendering: Rendering, number: Int64)?
  var keys = BoundedCache<KeyID, Key>(capacity: 10_000)
  var accounts = BoundedCache<AccountID, AccountQuota>(capacity: 10_000)
  var chains = BoundedCache<ChainKey, StoredChain>(capacity: 20_000)
  var hours = NotedHours()
  var webhooks = BoundedCache<AccountID, [WebhookSubscription]>(capacity: 10_000)
}
