import Ledger

/// Decides who may come in: recognises the key, holds it to its restrictions, and counts rate-limit slots.
struct Admission: Sendable {
  let keys: KeyDirectory
  let limiter: RateLimiter
  let proxies: TrustedProxies
  let activity: KeyActivityLog

  /// Who is calling.
  ///
  /// - Throws: ``Refusal``: 401 for a key that is not known, 403 for one that may not be used from here, 429 when there is
  ///   no slot left.
  func admit(_ headers: RequestHeaders, peer: NetworkAddress?, record: RequestRecord) async throws(Refusal) -> Caller {
    guard let secret = Self.presentedKey(headers) else {
      return try admitAnonymous(headers, peer: peer, record: record)
    }
    let key: KeyDirectory.Standing
    do throws(StoreFailure) {
      key = try await keys.key(secret)
    } catch {
      record.note { $0.fault = error.description }
      throw Refusal.unavailable
    }
    return try admit(key, headers, peer: peer, record: record)
  }

  /// Who is calling, if that is known without asking the store; nil if not, and then nothing has happened yet.
  ///
  /// - Throws: as ``admit(_:peer:record:)``.
  func admitAtOnce(_ headers: RequestHeaders, peer: NetworkAddress?, record: RequestRecord) throws(Refusal) -> Caller? {
    guard let secret = Self.presentedKey(headers) else {
      return try admitAnonymous(headers, peer: peer, record: record)
    }
    guard let key = keys.believed(secret) else { return nil }
    return try admit(key, headers, peer: peer, record: record)
  }

  private func admitAnonymous(
    _ headers: RequestHeaders, peer: NetworkAddress?, record: RequestRecord
  ) throws(Refusal) -> Caller {
    let address = proxies.client(headers, peer: peer)
    record.note {
      $0.address = address
      $0.caller = "anonymous"
    }
    try takeSlot(address)
    return .anonymous
  }

  private func admit(
    _ standing: KeyDirectory.Standing, _ headers: RequestHeaders, peer: NetworkAddress?, record: RequestRecord
  ) throws(Refusal) -> Caller {
    let address = proxies.client(headers, peer: peer)
    guard case .known(let key) = standing else {
      record.note { $0.address = address }
      try takeSlot(address)  // so that keys cannot be guessed at faster than draws are made
      if case .revoked(let id) = standing { activity.noteDenial(of: id) }
      throw Refusal.invalidAPIKey
    }
    record.note {
      $0.address = address
      $0.caller = key.record.prefix
      $0.showsTiming = key.record.mode == .live
    }
    do throws(Refusal) {
      try key.checkRestrictions(address: address) { headers.referer ?? headers.origin }
    } catch {
      activity.noteDenial(of: key.record.id)
      throw error
    }
    if key.record.mode == .test { try takeSlot(address) }
    activity.noteUse(of: key.record.id)
    return key.caller
  }

  private func takeSlot(_ address: NetworkAddress?) throws(Refusal) {
    guard let address, let seconds = limiter.take(for: address) else { return }
    throw Refusal(429, "Too many requests from this address.", code: "rate_limited", retryAfter: seconds)
  }

  /// The key a request carries. One that is there but empty is a mistake of the caller's (an unset variable, most
  /// likely) and is refused like any unknown key: drawing anonymously instead would be a quiet surprise.
  private static func presentedKey(_ headers: RequestHeaders) -> String? {
    if let key = headers.apiKey { return key }
    guard let authorization = headers.authorization else { return nil }
    let words = authorization.split(separator: " ", maxSplits: 1)
    return words.first?.lowercased() == "bearer" ? words.dropFirst().first.map(String.init) ?? "" : nil
  }

}

extension Refusal {
  /// The store failed: a retry may go better.
  public static let unavailable = Refusal(
    503, "The database could not be used; try again, with the same Idempotency-Key if there was one.",
    code: "unavailable",
    retryAfter: 1)
}
