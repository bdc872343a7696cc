//! What Scaleway's API answers, as far as it is used (facts: cloud §1.3–1.9). Fields that may be missing are optional:
//! the recorded answers differ between zones and ages.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServerAnswer {
    pub(super) server: Server,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Server {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) state_detail: String,
    #[serde(default)]
    pub(super) protected: bool,
    #[serde(default)]
    pub(super) creation_date: Option<jiff::Timestamp>,
    #[serde(default)]
    pub(super) public_ips: Vec<ServerIp>,
    #[serde(default)]
    pub(super) public_ip: Option<ServerIp>,
    #[serde(default)]
    pub(super) volumes: BTreeMap<String, ServerVolume>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServerIp {
    pub(super) address: String,
    #[serde(default)]
    pub(super) family: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServerVolume {
    pub(super) id: String,
    #[serde(default)]
    pub(super) volume_type: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct BlockVolume {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) references: Vec<serde_json::Value>,
    #[serde(default)]
    pub(super) created_at: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct LocalVolume {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) server: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) creation_date: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Ip {
    pub(super) id: String,
    #[serde(default)]
    pub(super) address: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct SecurityGroup {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) creation_date: Option<jiff::Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct SecurityGroupAnswer {
    pub(super) security_group: SecurityGroup,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServerType {
    #[serde(default)]
    pub(super) arch: String,
    pub(super) ncpus: u32,
    pub(super) ram: u64,
    #[serde(default)]
    pub(super) hourly_price: f64,
    #[serde(default)]
    pub(super) end_of_service: bool,
    #[serde(default)]
    pub(super) volumes_constraint: Option<VolumesConstraint>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct VolumesConstraint {
    #[serde(default)]
    pub(super) max_size: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Availability {
    pub(super) availability: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct LocalImage {
    pub(super) id: String,
    #[serde(default)]
    pub(super) arch: String,
    #[serde(default)]
    pub(super) zone: String,
    #[serde(default)]
    pub(super) compatible_commercial_types: Vec<String>,
    #[serde(default)]
    pub(super) r#type: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Product {
    #[serde(default)]
    pub(super) sku: String,
    #[serde(default)]
    pub(super) price: Option<ProductPrice>,
    #[serde(default)]
    pub(super) unit_of_measure: Option<Unit>,
    #[serde(default)]
    pub(super) properties: Option<Properties>,
    #[serde(default)]
    pub(super) product: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ProductPrice {
    pub(super) retail_price: Money,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Money {
    #[serde(default)]
    pub(super) currency_code: String,
    #[serde(default)]
    pub(super) units: i64,
    #[serde(default)]
    pub(super) nanos: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Unit {
    #[serde(default)]
    pub(super) unit: String,
    #[serde(default)]
    pub(super) size: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Properties {
    #[serde(default)]
    pub(super) instance: Option<InstanceProperties>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct InstanceProperties {
    #[serde(default)]
    pub(super) offer_id: String,
}
