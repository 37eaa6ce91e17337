import Ledger

/// Decides who may come in: recognises the key, holds it to its restrictions, and counts rate-limit slots.
struct Admission: Sendable {
  let keys: KeyDirectory
  let limiter: RateLimiter<[UInt8]>
  let proxies: TrustedProxies
  let activity: KeyActivityLog

  /// Who is calling.
  ///
  /// - Parameter needs: the scopes that a key must have.
  /// - Throws: ``Refusal``: 401 for a key that is not known, 403 for one that may not be used from here, 429 when there is
  ///   no slot left.
  func admit(
    _ headers: RequestHeaders, _ target: Target, needs: KeyScopes, peer: NetworkAddress?, record: RequestRecord
  ) async throws(Refusal) -> Caller {
    let secret: String
    switch PresentedKey(apiKey: headers.apiKey, authorization: headers.authorization) {
    case .none: return try admitAnonymous(headers, target, peer: peer, record: record)
    case .misplaced: throw refuse(headers, target, peer: peer, record: record, with: .misplacedKey)
    case .key(let presented): secret = presented
    }
    let key: KeyDirectory.KeyState
    do throws(StoreFailure) {
      key = try await keys.key(secret)
    } catch {
      throw record.refusal(for: error)
    }
    return try admit(key, headers, target, needs: needs, peer: peer, record: record)
  }

  /// Who is calling, if that is known without asking the store; nil if not, and then nothing has happened yet.
  ///
  /// - Throws: as ``admit(_:_:needs:peer:record:)``.
  func admitAtOnce(
    _ headers: RequestHeaders, _ target: Target, needs: KeyScopes, peer: NetworkAddress?, record: RequestRecord
  ) throws(Refusal) -> Caller? {
    switch PresentedKey(apiKey: headers.apiKey, authorization: headers.authorization) {
    case .none: return try admitAnonymous(headers, target, peer: peer, record: record)
    case .misplaced: throw refuse(headers, target, peer: peer, record: record, with: .misplacedKey)
    case .key(let secret):
      guard let key = keys.believed(secret) else { return nil }
      return try admit(key, headers, target, needs: needs, peer: peer, record: record)
    }
  }

  /// Refuses whoever has no key that is known. It takes a rate-limit slot, so that keys cannot be guessed faster than draws
  /// are made.
  ///
  /// - Returns: `refusal`, or a 429 when there is no slot left.
  private func refuse(
    _ headers: RequestHeaders, _ target: Target, peer: NetworkAddress?, record: RequestRecord, with refusal: Refusal
  ) -> Refusal {
    let address = proxies.client(headers, peer: peer)
    record.note { $0.address = address }
    do throws(Refusal) {
      try takeSlots(Self.slots(headers, target), address)
      return refusal
    } catch {
      return error
    }
  }

  private func admitAnonymous(
    _ headers: RequestHeaders, _ target: Target, peer: NetworkAddress?, record: RequestRecord
  ) throws(Refusal) -> Caller {
    let address = proxies.client(headers, peer: peer)
    record.note {
      $0.address = address
      $0.caller = RequestRecord.anonymous
      $0.showsTiming = true
    }
    try takeSlots(Self.slots(headers, target), address)
    return .anonymous
  }

  private func admit(
    _ state: KeyDirectory.KeyState, _ headers: RequestHeaders, _ target: Target, needs: KeyScopes,
    peer: NetworkAddress?, record: RequestRecord
  ) throws(Refusal) -> Caller {
    let key: KnownKey
    switch state {
    case .known(let known): key = known
    case .revoked(let id):
      activity.noteDenial(of: id)
      throw refuse(headers, target, peer: peer, record: record, with: .invalidAPIKey)
    case .unknown(let refusal): throw refuse(headers, target, peer: peer, record: record, with: refusal)
    }
    let address = proxies.client(headers, peer: peer)
    record.note {
      $0.address = address
      $0.caller = key.record.prefix
      $0.showsTiming = key.record.mode == .live
    }
    do throws(Refusal) {
      try key.checkRestrictions(address: address) { headers.referer ?? headers.origin }
      try key.check(needs)
    } catch {
      activity.noteDenial(of: key.record.id)
      throw error
    }
    if key.record.mode == .test { try takeSlots(Self.slots(headers, target), address) }
    activity.noteUse(of: key.record.id)
    return key.caller
  }

  private func takeSlots(_ slots: Int, _ address: NetworkAddress?) throws(Refusal) {
    guard let address, let seconds = limiter.take(slots, for: address.subscriber) else { return }
    throw Refusal(
      429, "Too many requests from this address.", code: .rateLimited, retryAfter: seconds,
      policy: limiter.policy("address"))
  }

  /// The bytes of query and body that take one slot. A request takes one for each that it begins.
  private static let bytesPerSlot = 16 * 1024

  private static func slots(_ headers: RequestHeaders, _ target: Target) -> Int {
    slots(of: target.query.count + min(max(headers.announcedLength, 0), BodyReader.maximumBody))
  }

  private static func slots(of bytes: Int) -> Int { max(1, (bytes + bytesPerSlot - 1) / bytesPerSlot) }

  /// Takes the slots of a request that was never admitted: it could not be read, or did not come whole.
  ///
  /// - Parameter received: how many bytes of its body have come.
  func charge(_ headers: RequestHeaders, _ target: Target, received: Int, peer: NetworkAddress?) {
    guard let address = proxies.client(headers, peer: peer) else { return }
    // A body that is too long is not waited for.
    let announced = headers.announcedLength <= BodyReader.maximumBody ? headers.announcedLength : 0
    limiter.charge(Self.slots(of: target.query.count + max(announced, received)), to: address.subscriber)
  }

  /// Takes the slots of a body whose length was known only once it had been read. The request has its answer; those
  /// that follow wait.
  func charge(_ bytes: Int, to caller: Caller, _ record: RequestRecord) {
    guard caller == .anonymous || caller.mode == .test, let address = record.notes.address else { return }
    limiter.charge(Self.slots(of: bytes) - 1, to: address.subscriber)
  }
}
