#include <algorithm>

#include "base/planted.h"
#include "base/text.h"
#include "harness/store/sqlite_store.h"

namespace h1bench {
namespace {

/// What two answers to one request must share: everything but times, worker and reuse.
std::string Payload(const ResponseRow& response) {
  return fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", response.text,
                     EncodeDoubles(response.loglikelihoods), EncodeFlags(response.is_greedy),
                     response.prompt_tokens, response.generated_tokens, response.truncated_tokens,
                     EncodeIds(response.first_ids), EncodeIds(response.last_ids), response.finish,
                     response.error);
}

}  // namespace

Result<std::vector<SampleRow>> SqliteStore::PendingSamples(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare(fmt::format(
          "SELECT {} FROM samples s WHERE s.run_id = ? AND s.poisoned = 0 AND NOT EXISTS "
          "(SELECT 1 FROM responses r WHERE r.key = s.request_key) ORDER BY s.id",
          ReplaceAll(kSampleColumns, "p.text", "''"))));
  query.Bind(1, run);
  std::vector<SampleRow> rows;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return rows;
    rows.push_back(SampleFrom(query, 0));
  }
}

Result<std::string> SqliteStore::Prompt(const std::string& sha256) {
  H1_ASSIGN_OR_RETURN(Statement query,
                      database_->Prepare("SELECT text FROM prompts WHERE sha256 = ?"));
  H1_ASSIGN_OR_RETURN(const bool row, query.Bind(1, sha256).Step());
  if (!row) return NotFound("{}: there is no prompt {}", database_->file(), sha256);
  return query.Text(0);
}

Result<SampleRow> SqliteStore::GetSample(std::int64_t sample) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare(fmt::format(
          "SELECT {} FROM samples s JOIN prompts p ON p.sha256 = s.prompt_sha256 WHERE s.id = ?",
          kSampleColumns)));
  H1_ASSIGN_OR_RETURN(const bool row, query.Bind(1, sample).Step());
  if (!row) return NotFound("{}: there is no sample {}", database_->file(), sample);
  return SampleFrom(query, 0);
}

Status SqliteStore::RecordWorker(std::int64_t run, const std::string& worker,
                                 const std::string& incarnation,
                                 const std::string& environment_json) {
  H1_ASSIGN_OR_RETURN(Statement insert,
                      database_->Prepare("INSERT INTO workers VALUES (?, ?, ?, ?) ON CONFLICT DO "
                                         "UPDATE SET incarnation = excluded.incarnation, "
                                         "environment_json = excluded.environment_json"));
  return insert.BindAll(run, worker, incarnation, environment_json).Run();
}

Result<LeaseGrant> SqliteStore::GrantLease(std::int64_t run, const std::string& worker,
                                           const std::string& incarnation,
                                           const std::vector<std::int64_t>& sample_ids) {
  LeaseGrant grant;
  grant.sample_ids = sample_ids;
  H1_RETURN_IF_ERROR(database_->InTransaction("lease", [&]() -> Status {
    H1_ASSIGN_OR_RETURN(
        Statement count,
        database_->Prepare(
            "UPDATE samples SET attempts = attempts + 1 WHERE id = ? RETURNING attempts"));
    for (const std::int64_t sample : sample_ids) {
      H1_ASSIGN_OR_RETURN(const bool row, count.Bind(1, sample).Step());
      if (!row) return NotFound("{}: there is no sample {}", database_->file(), sample);
      grant.attempt = std::max(grant.attempt, count.Int(0));
      H1_ASSIGN_OR_RETURN(const bool more, count.Step());
      (void)more;
      count.Reset();
    }
    H1_ASSIGN_OR_RETURN(Statement insert,
                        database_->Prepare("INSERT INTO leases (run_id, worker, incarnation, "
                                           "attempt, state) VALUES (?, ?, ?, ?, 'open')"));
    H1_RETURN_IF_ERROR(insert.BindAll(run, worker, incarnation, grant.attempt).Run());
    grant.lease_id = database_->LastInsertId();
    H1_ASSIGN_OR_RETURN(Statement member,
                        database_->Prepare("INSERT INTO lease_samples VALUES (?, ?)"));
    for (const std::int64_t sample : sample_ids)
      H1_RETURN_IF_ERROR(member.BindAll(grant.lease_id, sample).Run());
    return Status::Ok();
  }));
  return grant;
}

Status SqliteStore::InsertResponse(std::int64_t lease, std::int64_t sample,
                                   const ResponseRow& response) {
  H1_ASSIGN_OR_RETURN(
      Statement member,
      database_->Prepare("SELECT s.request_key FROM lease_samples l JOIN samples s ON s.id = "
                         "l.sample_id WHERE l.lease_id = ? AND l.sample_id = ?"));
  H1_ASSIGN_OR_RETURN(const bool leased, member.BindAll(lease, sample).Step());
  if (!leased) return FailedPrecondition("sample {} does not belong to lease {}", sample, lease);
  if (member.Text(0) != response.key)
    return FailedPrecondition("sample {}: the response's key is not the request's", sample);

  H1_ASSIGN_OR_RETURN(Statement insert,
                      database_->Prepare("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
                                         "?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"));
  H1_RETURN_IF_ERROR(
      insert
          .BindAll(response.key, response.text, EncodeDoubles(response.loglikelihoods),
                   EncodeFlags(response.is_greedy), response.prompt_tokens,
                   response.generated_tokens, response.truncated_tokens, response.reused_tokens,
                   EncodeIds(response.first_ids), EncodeIds(response.last_ids), response.finish,
                   response.error, response.queue_seconds, response.prefill_seconds,
                   response.decode_seconds, response.worker, EncodeIds(response.inter_token_us))
          .Run());
  if (database_->Changes() == 1) return Status::Ok();

  H1_ASSIGN_OR_RETURN(Statement known,
                      database_->Prepare(fmt::format("SELECT {} FROM responses r WHERE r.key = ?",
                                                     kResponseColumns)));
  H1_ASSIGN_OR_RETURN(const bool row, known.Bind(1, response.key).Step());
  if (!row) return Internal("{}: a response vanished", database_->file());
  H1_ASSIGN_OR_RETURN(const ResponseRow first, ResponseFrom(known, 0));
  if (Payload(first) == Payload(response)) return Status::Ok();
  H1_ASSIGN_OR_RETURN(
      Statement divergence,
      database_->Prepare(
          "INSERT INTO divergence (key, sample_id, worker, payload) VALUES (?, ?, ?, ?)"));
  return divergence.BindAll(response.key, sample, response.worker, Payload(response)).Run();
}

Status SqliteStore::SubmitResponses(
    std::int64_t lease, std::int64_t attempt, const std::string& incarnation,
    const std::vector<std::pair<std::int64_t, ResponseRow>>& responses, bool last) {
  return database_->InTransaction("submit", [&]() -> Status {
    H1_ASSIGN_OR_RETURN(
        Statement check,
        database_->Prepare(
            Planted(Bug::kNoAttemptCheck)
                ? "UPDATE leases SET state = ? WHERE id = ? AND ? > 0 AND ? <> ''"
                : "UPDATE leases SET state = ? WHERE id = ? AND attempt = ? AND "
                  "incarnation = ? AND state = 'open' AND EXISTS "
                  "(SELECT 1 FROM workers w WHERE w.run_id = leases.run_id AND w.worker = "
                  "leases.worker AND w.incarnation = leases.incarnation)"));
    H1_RETURN_IF_ERROR(check.BindAll(last ? "closed" : "open", lease, attempt, incarnation).Run());
    if (database_->Changes() != 1) {
      return FailedPrecondition(
          "lease {} (attempt {}) is no longer this worker's: it expired, was closed or taken over",
          lease, attempt);
    }
    for (const auto& [sample, response] : responses)
      H1_RETURN_IF_ERROR(InsertResponse(lease, sample, response));
    return Status::Ok();
  });
}

Result<std::vector<std::int64_t>> SqliteStore::RevokeLease(std::int64_t lease, bool lost) {
  std::vector<std::int64_t> poisoned;
  H1_RETURN_IF_ERROR(database_->InTransaction("revoke", [&]() -> Status {
    H1_ASSIGN_OR_RETURN(
        Statement close,
        database_->Prepare("UPDATE leases SET state = ? WHERE id = ? AND state = 'open'"));
    H1_RETURN_IF_ERROR(close.BindAll(lost ? "lost" : "revoked", lease).Run());
    if (database_->Changes() != 1 || !lost || Planted(Bug::kLossesNotCounted)) return Status::Ok();
    H1_ASSIGN_OR_RETURN(
        Statement count,
        database_->Prepare(
            "UPDATE samples SET losses = losses + 1, poisoned = losses + 1 >= ? WHERE poisoned = 0 "
            "AND id IN "
            "(SELECT sample_id FROM lease_samples WHERE lease_id = ?) AND NOT EXISTS "
            "(SELECT 1 FROM responses r WHERE r.key = samples.request_key) RETURNING id, "
            "poisoned"));
    count.BindAll(kLossesToPoison, lease);
    while (true) {
      H1_ASSIGN_OR_RETURN(const bool row, count.Step());
      if (!row) return Status::Ok();
      if (count.Int(1) != 0) poisoned.push_back(count.Int(0));
    }
  }));
  std::sort(poisoned.begin(), poisoned.end());
  return poisoned;
}

Status SqliteStore::RevokeAllLeases(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(
      Statement update,
      database_->Prepare(
          "UPDATE leases SET state = 'revoked' WHERE run_id = ? AND state = 'open'"));
  return update.Bind(1, run).Run();
}

Status SqliteStore::RecordMemory(std::int64_t run, std::int64_t variant, const std::string& worker,
                                 const std::string& memory_json) {
  H1_ASSIGN_OR_RETURN(Statement insert,
                      database_->Prepare("INSERT INTO memory VALUES (?, ?, ?, ?) ON CONFLICT DO "
                                         "UPDATE SET memory_json = excluded.memory_json"));
  return insert.BindAll(run, variant, worker, memory_json).Run();
}

Result<ProbeRow> SqliteStore::RecordProbe(std::int64_t variant, const std::string& identity,
                                          const ProbeRow& probe) {
  H1_ASSIGN_OR_RETURN(
      Statement insert,
      database_->Prepare("INSERT INTO probes VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"));
  H1_RETURN_IF_ERROR(insert.BindAll(variant, identity, probe.digest, probe.worker).Run());
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare(
          "SELECT digest, worker FROM probes WHERE variant_id = ? AND identity = ?"));
  H1_ASSIGN_OR_RETURN(const bool row, query.BindAll(variant, identity).Step());
  if (!row) return Internal("{}: a probe vanished", database_->file());
  return ProbeRow{query.Text(0), query.Text(1)};
}

Status SqliteStore::RecordFailure(std::int64_t run, const FailureRow& failure) {
  H1_ASSIGN_OR_RETURN(
      Statement insert,
      database_->Prepare("INSERT INTO failures (run_id, worker, reason) VALUES (?, ?, ?)"));
  return insert.BindAll(run, failure.worker, failure.reason).Run();
}

}  // namespace h1bench
