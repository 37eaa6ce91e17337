import Accounts
import Ledger

// What the operator's commands do with names.
extension AccountStore {
  package func createKey(_ key: NewAPIKey, forAccountNamed name: String) async throws -> APIKeyRecord {
    try await createKey(key, of: existingAccount(named: name).id)
  }

  package func revokeKey(prefix: String) async throws -> APIKeyRecord {
    let key = try await key(beginningWith: prefix)
    return try await revokeKey(key.id, of: key.account)
  }
}
