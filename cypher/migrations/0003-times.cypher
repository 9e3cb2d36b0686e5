// Retention takes the oldest first and investigators ask for a span: both without reading the rest.
CREATE INDEX paid_timestamp IF NOT EXISTS FOR ()-[p:PAID]-() ON (p.timestamp);
CREATE INDEX paid_in_timestamp IF NOT EXISTS FOR ()-[p:PAID_IN]-() ON (p.timestamp);
CREATE INDEX paid_out_timestamp IF NOT EXISTS FOR ()-[p:PAID_OUT]-() ON (p.timestamp);
CREATE INDEX attempted_timestamp IF NOT EXISTS FOR ()-[p:ATTEMPTED]-() ON (p.timestamp);
CREATE INDEX ring_changed_at IF NOT EXISTS FOR (n:Ring) ON (n.changed_at);
CREATE INDEX alert_at IF NOT EXISTS FOR (n:Alert) ON (n.at);
