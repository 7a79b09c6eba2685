"""What has been written on the matter: twin articles in English and Chinese, and the search over them."""
