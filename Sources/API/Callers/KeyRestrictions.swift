import Ledger

/// Where a key may be used from, as it is asked for: checked in one place for all who make keys.
public enum KeyRestrictions {
  /// The most of each kind that one key may have.
  public static let most = 50

  private static func problem(withNetwork text: String) -> String? {
    Network(text) == nil ? "\"\(text)\" is not a CIDR block, such as 203.0.113.0/24 or 2001:db8::/32." : nil
  }

  private static func problem(withReferer text: String) -> String? {
    RefererPattern(text) == nil
      ? "\"\(text)\" is not an origin, such as https://example.com or https://*.example.com:8443." : nil
  }

  /// What is wrong with a key's restrictions, in a sentence; nil if nothing is.
  public static func problem(networks: [String], referers: [String]) -> String? {
    if networks.count > most { return "A key takes at most \(most) networks." }
    if referers.count > most { return "A key takes at most \(most) origins." }
    return networks.lazy.compactMap(problem(withNetwork:)).first
      ?? referers.lazy.compactMap(problem(withReferer:)).first
  }
}
