// A transaction is a relationship, found by its id whatever the degree of its ends: the sink asks
// for every one before it writes it, and a ring names its witnesses by id.
CREATE INDEX paid_transaction_id IF NOT EXISTS FOR ()-[p:PAID]-() ON (p.transaction_id);
CREATE INDEX paid_in_transaction_id IF NOT EXISTS FOR ()-[p:PAID_IN]-() ON (p.transaction_id);
CREATE INDEX paid_out_transaction_id IF NOT EXISTS FOR ()-[p:PAID_OUT]-() ON (p.transaction_id);
CREATE INDEX attempted_transaction_id IF NOT EXISTS FOR ()-[p:ATTEMPTED]-() ON (p.transaction_id);
