import ArgumentParser
import Ledger

/// For how long responses are stored for retries: `7d`, `36h` or `forever`.
func idempotencyRetentionSetting(_ given: String?) throws -> IdempotencyRetention {
  guard let text = Settings.text("idempotency-retention", given) else { return .week }
  if text == "forever" { return .forever }
  if let parts = text.wholeMatch(of: /([0-9]{1,6})([hd])/), let count = Milliseconds(parts.1),
    let retention = IdempotencyRetention(count * (parts.2 == "d" ? 24 : 1) * 3_600_000)
  {
    return retention
  }
  throw ValidationError(
    """
    --idempotency-retention (FAIRDRAW_IDEMPOTENCY_RETENTION) must be a number of hours or days from 24h to 36500d, such as \
    36h or 7d, or forever, not "\(text)".
    """)
}
